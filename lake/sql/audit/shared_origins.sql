-- Authors and base quadrats of which some photographs are held out and others learnt from.
-- grain: one row per (kind, split)
-- tables: image_records, splits
-- params: $dataset, $split_id
with

photographs as (
    select
        image_records.author,
        image_records.base_quadrat,
        splits.split
    from image_records
    inner join splits
        on
            image_records.observation_id = splits.observation_id
            and splits.split_id = $split_id
    where image_records.dataset = $dataset
),

origins as (
    select
        'same_author' as kind,
        author as origin,
        split
    from photographs
    where author is not null
    union all
    select
        'same_base_quadrat' as kind,
        base_quadrat as origin,
        split
    from photographs
    where base_quadrat is not null
),

sizes as (
    select
        kind,
        origin,
        split,
        count(*) as photograph_count
    from origins
    group by kind, origin, split
)

select
    held_out.kind,
    held_out.split,
    count(*) as origin_count,
    cast(sum(held_out.photograph_count) as bigint) as held_out_count,
    cast(sum(learnt_from.photograph_count) as bigint) as training_count
from sizes as held_out
inner join sizes as learnt_from
    on
        held_out.kind = learnt_from.kind
        and held_out.origin = learnt_from.origin
        and learnt_from.split = 'train'
where held_out.split in ('val', 'test')
group by held_out.kind, held_out.split
order by held_out.kind, held_out.split
