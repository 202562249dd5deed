-- Rows and files of a source that are neither on record with their bytes nor set aside as often as they were found.
-- grain: one row per (image_name, outcome, kind)
-- tables: outcomes, image_records, ingest_issues
-- params: $dataset, $source_uri
with

counted as (
    select
        image_name,
        outcome,
        kind,
        -- of a file that another table named only the place is known
        row_number is not null as is_row,
        image_id,
        count(*) as row_count
    from outcomes
    group by image_name, outcome, kind, is_row, image_id
),

records as (
    select
        image_name,
        image_id,
        source_uri
    from image_records
    where dataset = $dataset
),

located as (
    select outcomes.image_name
    from outcomes
    semi join records on outcomes.location = records.source_uri
    where outcomes.row_number is null
),

latest_issues as (
    select *
    from ingest_issues
    where dataset = $dataset and source_uri = $source_uri and is_set_aside
    qualify row_number() over (partition by image_name, kind order by last_seen_at desc) = 1
),

set_aside as (
    select
        image_name,
        kind,
        sum(row_count) as row_count
    from counted
    where outcome = 'set_aside'
    group by image_name, kind
)

select
    image_name,
    outcome,
    kind
from counted
anti join records on counted.image_name = records.image_name and counted.image_id = records.image_id
anti join located on counted.image_name = located.image_name and not counted.is_row
where outcome in ('new', 'known')

union all

select
    image_name,
    outcome,
    kind
from counted
where outcome = 'unread'

union all

select
    set_aside.image_name,
    'set_aside' as outcome,
    set_aside.kind
from set_aside
anti join latest_issues
    on
        set_aside.image_name = latest_issues.image_name
        and set_aside.kind = latest_issues.kind
        and set_aside.row_count = latest_issues.row_count
