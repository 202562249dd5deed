-- The label sets in which a source differs from its own last word, but for those that a review has overruled.
-- grain: one row per (observation_id, species_id)
-- tables: outcomes, source_species, labels
-- params: $dataset, $source_uri, $now
with

-- an observation without any photograph in the lake is not labelled
present as (
    select distinct observation_id
    from outcomes
    where outcome in ('new', 'known') and observation_id is not null
),

-- another source has brought other photographs under the names of this one: it has no say on what they show
beaten as (
    select observation_id
    from outcomes
    where observation_id is not null
    group by observation_id
    having bool_and(coalesce(kind = 'name_with_other_content', false))
),

spoken_of as (
    select observation_id
    from present
    union
    select observation_id
    from beaten
),

given as (
    select distinct
        outcomes.observation_id,
        source_species.species_id
    from source_species
    inner join outcomes on source_species.row_number = outcomes.row_number
    semi join present on outcomes.observation_id = present.observation_id
    where
        outcomes.observation_id is not null
        and coalesce(outcomes.kind != 'name_with_other_content', true)
),

own_words as (
    select
        observation_id,
        species_id,
        status
    from labels
    where dataset = $dataset and source = $source_uri
    -- compared with its own last word and not with what holds now: of two sources that speak of one observation
    -- neither says its word again because the other did
    qualify labelled_at = max(labelled_at) over (partition by observation_id)
),

held as (
    select
        observation_id,
        species_id
    from own_words
    where status = 'given'
),

given_sets as (
    select
        observation_id,
        list(species_id order by species_id) as species_ids
    from given
    group by observation_id
),

held_sets as (
    select
        observation_id,
        list(species_id order by species_id) as species_ids
    from held
    group by observation_id
),

-- who speaks by a plain name, and not from a place where photographs lie, has looked at them: a review
reviewed as (
    select
        observation_id,
        max(labelled_at) as labelled_at
    from labels
    where dataset = $dataset and status = 'given' and not contains(source, '/')
    group by observation_id
),

said_sets as (
    select
        labels.observation_id,
        labels.labelled_at,
        list(labels.species_id order by labels.species_id) as species_ids
    from labels
    semi join reviewed on labels.observation_id = reviewed.observation_id
    where labels.dataset = $dataset and labels.status = 'given'
    group by labels.observation_id, labels.source, labels.labelled_at
),

-- what the review had before its eyes: a source that says it for the first time, such as a table under another name,
-- brings no news; one that has spoken before and says something else now does
overruled as (
    select distinct
        said_sets.observation_id,
        said_sets.species_ids
    from said_sets
    inner join reviewed on said_sets.observation_id = reviewed.observation_id
    anti join own_words on said_sets.observation_id = own_words.observation_id
    where said_sets.labelled_at < reviewed.labelled_at
),

-- a changed set is written whole
changed as (
    select
        spoken_of.observation_id,
        given_sets.species_ids as given_ids,
        held_sets.species_ids as held_ids
    from spoken_of
    left join given_sets on spoken_of.observation_id = given_sets.observation_id
    left join held_sets on spoken_of.observation_id = held_sets.observation_id
    left join overruled
        on given_sets.observation_id = overruled.observation_id and given_sets.species_ids = overruled.species_ids
    where overruled.species_ids is null and given_sets.species_ids is distinct from held_sets.species_ids
),

written as (
    select
        observation_id,
        unnest(coalesce(given_ids, held_ids)) as species_id,
        case when given_ids is null then 'withdrawn' else 'given' end as status
    from changed
),

newest as (
    select max(labelled_at) as labelled_at
    from labels
    where dataset = $dataset
)

select
    written.observation_id,
    written.species_id,
    written.status,
    -- later than all that was said before, whatever the clock says
    greatest($now, coalesce(newest.labelled_at + interval 1 microsecond, $now)) as labelled_at
from written
cross join newest
order by written.observation_id, written.species_id
