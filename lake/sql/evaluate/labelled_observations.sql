-- The labelled observations of a data set, and the side of its split that they are on.
-- grain: one row per observation_id
-- tables: tags, current_labels, splits
-- params: $split_id
with

assigned as (
    select
        observation_id,
        split
    from splits
    where split_id = $split_id
)

select distinct
    tags.observation_id,
    -- the split that training respected comes before the tag of the source
    coalesce(assigned.split, tags.tag) as split
from tags
inner join current_labels on tags.observation_id = current_labels.observation_id
left join assigned on tags.observation_id = assigned.observation_id
order by tags.observation_id
