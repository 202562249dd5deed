-- What is set aside of each data set as of now, and why.
-- grain: one row per (dataset, kind)
-- tables: ingest_issues, image_records
-- params: none
with

latest_issues as (
    select *
    from ingest_issues
    where is_set_aside
    qualify row_number() over (
        partition by dataset, image_name, kind, source_uri
        order by last_seen_at desc
    ) = 1
),

-- what was mended came on record after it was set aside; a name that was on record before is still set aside
waiting as (
    select
        latest_issues.dataset,
        latest_issues.kind,
        latest_issues.image_name,
        latest_issues.row_count
    from latest_issues
    left join image_records
        on
            latest_issues.dataset = image_records.dataset
            and latest_issues.image_name = image_records.image_name
    where
        latest_issues.row_count > 0
        and (latest_issues.is_on_record or image_records.image_name is null)
)

select
    dataset,
    kind,
    cast(sum(row_count) as bigint) as count,
    min(image_name) as example
from waiting
group by dataset, kind
order by count desc, dataset, kind
