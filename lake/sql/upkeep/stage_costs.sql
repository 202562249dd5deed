-- What each stage has cost, period by period.
-- grain: one row per (stage, period)
-- tables: stage_runs
-- params: $unit
select
    stage,
    cast(date_trunc($unit, finished_at) as date) as period,
    count(*) as runs,
    cast(sum(rows) as bigint) as rows,
    cast(sum(reused) as bigint) as reused,
    sum(seconds) as seconds,
    -- of all photographs in all of the time, so that a short run counts for little
    sum(images_per_second * seconds)
    / nullif(sum(seconds) filter (where images_per_second is not null), 0) as images_per_second
from stage_runs
group by stage, period
order by stage, period
