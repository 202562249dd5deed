-- Labelled observations that have no place in a split yet, and the one that they get.
-- grain: one row per observation_id
-- tables: tags, current_labels, splits
-- params: $split_id, $val_fraction, $seed
with

labelled as (
    select
        observation_id,
        min(species_id) as stratum
    from current_labels
    group by observation_id
),

assigned as (
    select
        observation_id,
        split,
        reason
    from splits
    where split_id = $split_id
),

waiting as (
    select
        tags.observation_id,
        tags.tag,
        labelled.stratum
    from tags
    inner join labelled on tags.observation_id = labelled.observation_id
    anti join assigned on tags.observation_id = assigned.observation_id
),

-- a species seen once has to be learnt from: it is never drawn into val
stratum_sizes as (
    select
        labelled.stratum,
        count(*) as observation_count
    from labelled
    inner join tags on labelled.observation_id = tags.observation_id
    where coalesce(tags.tag, 'train') = 'train'
    group by labelled.stratum
),

-- every n-th of a list ordered by species: each species gives its share, give or take one
numbered as (
    select
        waiting.observation_id,
        row_number() over (
            order by waiting.stratum, md5($seed || ':' || waiting.observation_id), waiting.observation_id
        ) + (select count(*) from assigned where reason = 'drawn') as position
    from waiting
    inner join stratum_sizes on waiting.stratum = stratum_sizes.stratum
    where
        coalesce(waiting.tag, 'train') = 'train'
        and stratum_sizes.observation_count > 1
        and not exists (select 1 from tags where tag = 'val')
)

select
    waiting.observation_id,
    case
        -- the small number keeps 0.29 * 100 from falling below 29
        when
            floor(numbered.position * $val_fraction + 1e-9)
            > floor((numbered.position - 1) * $val_fraction + 1e-9)
            then 'val'
        else coalesce(waiting.tag, 'train')
    end as split,
    case when numbered.position is null then 'given' else 'drawn' end as reason
from waiting
left join numbered on waiting.observation_id = numbered.observation_id
order by waiting.observation_id
