-- How many photographs of a data set show each species.
-- grain: one row per species_id
-- tables: image_records, current_labels, current_species
-- params: $dataset
select
    current_labels.species_id,
    coalesce(any_value(current_species.scientific_name), current_labels.species_id) as scientific_name,
    count(*) as photographs
from image_records
inner join current_labels on image_records.observation_id = current_labels.observation_id
left join current_species on current_labels.species_id = current_species.species_id
where image_records.dataset = $dataset
group by current_labels.species_id
order by photographs desc, current_labels.species_id
