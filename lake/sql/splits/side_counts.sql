-- How many observations of a split were not given their side by the source, before and now, on each side.
-- grain: one row per split
-- tables: splits, waiting
-- params: $split_id
with

placed as (
    select
        split,
        reason
    from splits
    where split_id = $split_id
    union all
    select
        split,
        reason
    from waiting
)

select
    split,
    count(*) as observation_count
from placed
-- who joins a drawn group was drawn with it
where reason in ('drawn', 'joined')
group by split
order by split
