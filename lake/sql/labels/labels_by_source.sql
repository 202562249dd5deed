-- The latest set of labels that a source gave each observation of a data set.
-- grain: one row per (observation_id, species_id)
-- tables: labels
-- params: $dataset, $source
with

dated as (
    select
        observation_id,
        species_id,
        labelled_at,
        max(labelled_at) over (partition by observation_id) as latest_at
    from labels
    where dataset = $dataset and source = $source
)

select distinct
    observation_id,
    species_id
from dated
where labelled_at = latest_at
order by observation_id, species_id
