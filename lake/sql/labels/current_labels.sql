-- The species that hold now for each observation of a data set: its latest set of labels.
-- grain: one row per (observation_id, species_id)
-- tables: labels
-- params: $dataset
with

dated as (
    select
        observation_id,
        species_id,
        labelled_at,
        max(labelled_at) over (partition by observation_id) as latest_at
    from labels
    where dataset = $dataset
)

select distinct
    observation_id,
    species_id
from dated
where labelled_at = latest_at
order by observation_id, species_id
