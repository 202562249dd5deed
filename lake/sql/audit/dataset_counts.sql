-- What the lake holds of each data set.
-- grain: one row per dataset
-- tables: image_records, labels, ingest_issues
-- params: none
with

records as (
    select
        dataset,
        count(*) as photographs,
        count(distinct image_id) as images,
        count(distinct observation_id) as observations
    from image_records
    group by dataset
),

-- as `labels/current_labels` has it: a corrected label no longer counts
dated as (
    select
        dataset,
        observation_id,
        species_id,
        status,
        labelled_at
    from labels
    qualify labelled_at = max(labelled_at) over (partition by dataset, observation_id, source)
),

current_labels as (
    select
        dataset,
        observation_id,
        species_id
    from dated
    where status = 'given'
    qualify labelled_at = max(labelled_at) over (partition by dataset, observation_id)
),

labelled as (
    select
        dataset,
        count(distinct observation_id) as labelled_observations,
        count(distinct species_id) as species
    from current_labels
    group by dataset
),

latest_issues as (
    select *
    from ingest_issues
    where is_set_aside
    qualify row_number() over (partition by dataset, image_name, kind, source_uri order by last_seen_at desc) = 1
),

-- what was mended came on record after it was set aside; a name that was on record before is still set aside
waiting as (
    select
        latest_issues.dataset,
        sum(latest_issues.row_count) as set_aside
    from latest_issues
    left join image_records
        on
            latest_issues.dataset = image_records.dataset
            and latest_issues.image_name = image_records.image_name
    where latest_issues.is_on_record or image_records.image_name is null
    group by latest_issues.dataset
)

select
    coalesce(records.dataset, waiting.dataset) as dataset,
    coalesce(records.photographs, 0) as photographs,
    coalesce(records.images, 0) as images,
    coalesce(records.observations, 0) as observations,
    coalesce(labelled.labelled_observations, 0) as labelled_observations,
    coalesce(labelled.species, 0) as species,
    cast(coalesce(waiting.set_aside, 0) as bigint) as set_aside
from records
full outer join waiting on records.dataset = waiting.dataset
left join labelled on records.dataset = labelled.dataset
order by dataset
