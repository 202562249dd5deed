-- The sources of a data set of which something is set aside, and for which reasons.
-- grain: one row per source_id
-- tables: ingest_sources, ingest_issues, image_records
-- params: $dataset
with

latest_issues as (
    select *
    from ingest_issues
    where dataset = $dataset and is_set_aside
    qualify row_number() over (partition by image_name, kind, source_uri order by last_seen_at desc) = 1
),

open_issues as (
    select latest_issues.*
    from latest_issues
    left join image_records
        on
            image_records.dataset = $dataset
            and latest_issues.image_name = image_records.image_name
    where latest_issues.row_count > 0 and (latest_issues.is_on_record or image_records.image_name is null)
),

-- as it is read now: what it was once read as would bring back what was corrected since
current_sources as (
    select *
    from ingest_sources
    where dataset = $dataset
    qualify row_number() over (partition by source_uri order by recorded_at desc) = 1
)

select
    current_sources.source_id,
    current_sources.format,
    current_sources.options,
    list(distinct open_issues.kind order by open_issues.kind) as kinds,
    any_value(current_sources.recorded_at) as recorded_at
from current_sources
inner join open_issues on current_sources.source_uri = open_issues.source_uri
group by current_sources.source_id, current_sources.format, current_sources.options
order by recorded_at, current_sources.source_id
