-- The observations of a data set whose labels are what a review has said of them last.
-- grain: one row per observation_id
-- tables: labels
-- params: $dataset
with

-- as `labels/current_labels` has it
last_words as (
    select
        observation_id,
        source,
        species_id,
        status,
        labelled_at
    from labels
    where dataset = $dataset
    qualify labelled_at = max(labelled_at) over (partition by observation_id, source)
),

given_sets as (
    select
        observation_id,
        source,
        labelled_at,
        list(species_id order by species_id) as species_ids
    from last_words
    where status = 'given'
    group by observation_id, source, labelled_at
),

latest as (
    select
        observation_id,
        species_ids
    from given_sets
    qualify row_number() over (partition by observation_id order by labelled_at desc, source) = 1
)

select distinct latest.observation_id
from latest
inner join given_sets
    on latest.observation_id = given_sets.observation_id and latest.species_ids = given_sets.species_ids
-- a review goes by a plain name, all others by the place that photographs came from
where not contains(given_sets.source, '/')
order by latest.observation_id
