-- What becomes of each row of a table of corrected labels.
-- grain: one row per row_number
-- tables: corrections, image_records, labels, species, taxon_changes
-- params: $dataset, $source, $takes_new_species
with

observations as (
    select distinct observation_id
    from image_records
    where dataset = $dataset
),

known_species as (
    select species_id
    from species
    union
    select species_id
    from labels
    union
    select new_species_id as species_id
    from taxon_changes
),

named as (
    select
        row_number,
        unnest(species_ids) as species_id
    from corrections
),

unknown as (
    select
        named.row_number,
        list(named.species_id order by named.species_id) as species_ids
    from named
    anti join known_species on named.species_id = known_species.species_id
    group by named.row_number
),

judged as (
    select
        corrections.row_number,
        corrections.observation_id,
        corrections.species_ids,
        corrections.reviewer,
        corrections.note,
        coalesce(unknown.species_ids, []) as unknown_ids,
        case
            when corrections.kind is not null then corrections.kind
            when len(corrections.species_ids) = 0 then null
            when corrections.observation_id is null then 'row_without_observation'
            when observations.observation_id is null then 'unknown_observation'
            when unknown.row_number is not null and not $takes_new_species then 'unknown_species'
        end as kind,
        corrections.detail
    from corrections
    left join observations on corrections.observation_id = observations.observation_id
    left join unknown on corrections.row_number = unknown.row_number
),

usable as (
    select
        row_number,
        observation_id,
        species_ids
    from judged
    where kind is null and len(species_ids) > 0
),

contradicted as (
    select
        observation_id,
        string_agg(cast(row_number as varchar), ', ' order by row_number) as row_numbers
    from usable
    group by observation_id
    having count(distinct species_ids) > 1
),

-- as `labels/current_labels` has it
last_words as (
    select
        labels.observation_id,
        labels.source,
        labels.species_id,
        labels.labelled_at,
        labels.status
    from labels
    semi join usable on labels.observation_id = usable.observation_id
    where labels.dataset = $dataset
    qualify labels.labelled_at = max(labels.labelled_at) over (partition by labels.observation_id, labels.source)
),

latest as (
    select
        observation_id,
        source,
        species_id
    from last_words
    where status = 'given'
    qualify labelled_at = max(labelled_at) over (partition by observation_id)
),

-- what holds by its own word: a person who says what another source says confirms it
held as (
    select
        observation_id,
        list(species_id order by species_id) as species_ids
    from latest
    where source = $source
    group by observation_id
),

first_rows as (
    select
        observation_id,
        min(row_number) as row_number
    from usable
    group by observation_id
),

found as (
    select
        judged.row_number,
        judged.observation_id,
        judged.species_ids,
        judged.reviewer,
        judged.note,
        judged.unknown_ids,
        case when contradicted.row_numbers is not null then 'label_contradicted' else judged.kind end as kind,
        case
            when judged.detail is not null then judged.detail
            when judged.kind = 'row_without_observation' then 'it names no observation'
            when judged.kind = 'unknown_observation'
                then 'there is no observation ' || judged.observation_id || ' in ' || $dataset
            when judged.kind = 'unknown_species'
                then
                    'nothing is known of the species ' || array_to_string(judged.unknown_ids, ', ')
                    || '; --new-species takes it'
            when contradicted.row_numbers is not null
                then
                    'the lines ' || contradicted.row_numbers || ' say different species of the observation '
                    || judged.observation_id
        end as detail,
        coalesce(held.species_ids = judged.species_ids, false) as is_held,
        coalesce(first_rows.row_number = judged.row_number, false) as is_first
    from judged
    left join usable on judged.row_number = usable.row_number
    left join contradicted on usable.observation_id = contradicted.observation_id
    left join held on usable.observation_id = held.observation_id
    left join first_rows on usable.observation_id = first_rows.observation_id
)

select
    row_number,
    observation_id,
    species_ids,
    reviewer,
    note,
    unknown_ids,
    kind,
    detail,
    case
        when kind is not null then 'set_aside'
        when len(species_ids) = 0 then 'skipped'
        when is_held or not is_first then 'known'
        else 'new'
    end as outcome
from found
order by row_number
