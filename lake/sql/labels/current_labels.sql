-- The species that hold now for each observation of a data set: the latest set of labels that its source still gives.
-- grain: one row per (observation_id, species_id)
-- tables: labels
-- params: $dataset
with

-- a source that takes its own word back takes back no other's
last_words as (
    select
        observation_id,
        species_id,
        status,
        labelled_at
    from labels
    where dataset = $dataset
    qualify labelled_at = max(labelled_at) over (partition by observation_id, source)
),

latest as (
    select
        observation_id,
        species_id
    from last_words
    where status = 'given'
    qualify labelled_at = max(labelled_at) over (partition by observation_id)
)

select distinct
    observation_id,
    species_id
from latest
order by observation_id, species_id
