-- The groups that wait to be drawn, in the order of drawing, with the species that they would take from training.
-- grain: one row per (group_id, species_id)
-- tables: waiting, current_labels, splits
-- params: $split_id, $seed
with

-- of each species, and how many of them are or may still be learnt from
species_sizes as (
    select
        current_labels.species_id,
        count(*) as observation_count,
        count(*) filter (
            where splits.split = 'train'
            or (waiting.observation_id is not null and coalesce(waiting.split, 'train') = 'train')
        ) as learnable_count
    from current_labels
    left join splits
        on current_labels.observation_id = splits.observation_id and splits.split_id = $split_id
    left join waiting on current_labels.observation_id = waiting.observation_id
    group by current_labels.species_id
),

undrawn as (
    select
        waiting.group_id,
        waiting.observation_id,
        current_labels.species_id,
        species_sizes.observation_count,
        species_sizes.learnable_count
    from waiting
    inner join current_labels on waiting.observation_id = current_labels.observation_id
    inner join species_sizes on current_labels.species_id = species_sizes.species_id
    where waiting.split is null
),

-- an observation of several species stands for the commonest one
observations as (
    select
        group_id,
        observation_id,
        arg_min(species_id, (-observation_count, species_id)) as species_id
    from undrawn
    group by group_id, observation_id
),

species_of_group as (
    select
        group_id,
        species_id,
        count(*) as observation_count
    from observations
    group by group_id, species_id
),

strata as (
    select
        group_id,
        arg_min(species_id, (-observation_count, species_id)) as stratum,
        cast(sum(observation_count) as bigint) as group_size
    from species_of_group
    group by group_id
)

select
    undrawn.group_id,
    strata.group_size,
    undrawn.species_id,
    count(*) as observation_count,
    undrawn.learnable_count
from undrawn
inner join strata on undrawn.group_id = strata.group_id
group by undrawn.group_id, strata.group_size, strata.stratum, undrawn.species_id, undrawn.learnable_count
order by strata.stratum, md5($seed || ':' || undrawn.group_id), undrawn.group_id, undrawn.species_id
