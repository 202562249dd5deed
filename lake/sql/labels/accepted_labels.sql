-- The current labels in the taxonomy of today; an observation with a species that was split is left out.
-- grain: one row per (observation_id, species_id)
-- tables: current_labels, accepted_species
-- params: none
with

unsure as (
    select distinct current_labels.observation_id
    from current_labels
    inner join accepted_species on current_labels.species_id = accepted_species.species_id
    where accepted_species.accepted_id is null
)

select distinct
    current_labels.observation_id,
    coalesce(accepted_species.accepted_id, current_labels.species_id) as species_id
from current_labels
anti join unsure on current_labels.observation_id = unsure.observation_id
left join accepted_species on current_labels.species_id = accepted_species.species_id
order by observation_id, species_id
