-- What is known of every species: of each column the latest word of any source; without a name its id stands for it.
-- grain: one row per species_id
-- tables: species
-- params: none
with

words as (
    select
        *,
        row_number() over (partition by species_id order by recorded_at, source) as place
    from species
)

select
    species_id,
    coalesce(arg_max(scientific_name, place) filter (where scientific_name is not null), species_id)
        as scientific_name,
    arg_max(genus, place) filter (where genus is not null) as genus,
    arg_max(family, place) filter (where family is not null) as family,
    arg_max(is_venomous, place) filter (where is_venomous is not null) as is_venomous,
    arg_max(gbif_id, place) filter (where gbif_id is not null) as gbif_id
from words
group by species_id
order by species_id
