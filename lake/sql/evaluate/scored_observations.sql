-- The observations that an evaluation scores: the test split, else val, else all that are labelled.
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
),

labelled as (
    select distinct
        tags.observation_id,
        -- the split that training respected comes before the tag of the source
        coalesce(assigned.split, tags.tag) as split
    from tags
    inner join current_labels on tags.observation_id = current_labels.observation_id
    left join assigned on tags.observation_id = assigned.observation_id
),

chosen as (
    select
        case
            when bool_or(split = 'test') then 'test'
            when bool_or(split = 'val') then 'val'
            else 'all'
        end as split
    from labelled
)

select
    labelled.observation_id,
    chosen.split
from labelled
cross join chosen
where labelled.split = chosen.split or chosen.split = 'all'
order by labelled.observation_id
