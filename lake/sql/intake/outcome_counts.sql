-- How many rows and files of a source end in which way.
-- grain: one row per (outcome, kind)
-- tables: outcomes
-- params: none
select
    outcome,
    kind,
    count(*) as row_count,
    count(*) filter (where not is_known_issue) as new_count
from outcomes
group by outcome, kind
order by outcome, kind
