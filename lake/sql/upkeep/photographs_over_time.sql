-- How many photographs each data set held at the end of each period in which it grew.
-- grain: one row per (dataset, period)
-- tables: image_records
-- params: $unit
with

grown as (
    select
        dataset,
        cast(date_trunc($unit, ingested_at) as date) as period,
        count(*) as photographs
    from image_records
    group by dataset, period
)

select
    dataset,
    period,
    cast(sum(photographs) over (partition by dataset order by period) as bigint) as photographs
from grown
order by dataset, period
