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
)

select
    ingest_sources.source_id,
    ingest_sources.format,
    ingest_sources.options,
    list(distinct open_issues.kind order by open_issues.kind) as kinds,
    min(ingest_sources.first_read_at) as first_read_at
from ingest_sources
inner join open_issues on ingest_sources.source_uri = open_issues.source_uri
where ingest_sources.dataset = $dataset
group by ingest_sources.source_id, ingest_sources.format, ingest_sources.options
order by first_read_at, ingest_sources.source_id
