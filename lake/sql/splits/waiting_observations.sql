-- Labelled observations without a place in a split: their group, and the side that is theirs without drawing.
-- grain: one row per observation_id
-- tables: tags, current_labels, splits, groups
-- params: $split_id, $is_drawn
with

assigned as (
    select
        observation_id,
        split,
        group_id
    from splits
    where split_id = $split_id
),

-- also those without a label, which have no place themselves: a photograph of the test is one all the same
members as (
    select
        tags.observation_id,
        tags.tag,
        assigned.split,
        assigned.group_id as assigned_group_id,
        coalesce(groups.group_id, tags.observation_id) as found_group_id
    from tags
    left join assigned on tags.observation_id = assigned.observation_id
    left join groups on tags.observation_id = groups.observation_id
),

standing as (
    select
        found_group_id,
        -- a group keeps the name under which its first members were placed
        coalesce(min(assigned_group_id), found_group_id) as group_id,
        max(
            case coalesce(split, nullif(tag, 'train'))
                when 'test' then 2
                when 'val' then 1
                when 'train' then 0
            end
        ) as strictness
    from members
    group by found_group_id
),

labelled as (
    select distinct observation_id
    from current_labels
),

waiting as (
    select
        members.observation_id,
        standing.group_id,
        standing.strictness,
        members.tag,
        -- where something is drawn, it is drawn from what the source gave for training
        members.tag in ('val', 'test') or (members.tag = 'train' and not $is_drawn) as is_given
    from members
    inner join standing on members.found_group_id = standing.found_group_id
    inner join labelled on members.observation_id = labelled.observation_id
    where members.split is null
)

select
    observation_id,
    group_id,
    case
        when is_given then tag
        when strictness is not null then ['train', 'val', 'test'][strictness + 1]
        when not $is_drawn then 'train'
    end as split,
    case
        when is_given then 'given'
        when strictness is not null then 'joined'
        when not $is_drawn then 'kept'
    end as reason
from waiting
order by observation_id
