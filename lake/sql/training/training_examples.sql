-- The photographs that a single-label head may learn from or be validated on.
-- grain: one row per (image_id, observation_id)
-- tables: image_records, current_labels, splits, species
-- params: $dataset, $split_id
with

-- a quadrat says nothing about which of its species is where: it is no single-label example
single as (
    select
        observation_id,
        min(species_id) as species_id
    from current_labels
    group by observation_id
    having count(*) = 1
),

photographs as (
    select distinct
        image_records.image_id,
        image_records.observation_id,
        single.species_id,
        splits.split,
        case splits.split when 'test' then 2 when 'val' then 1 else 0 end as strictness
    from image_records
    inner join single on image_records.observation_id = single.observation_id
    inner join splits
        on
            image_records.observation_id = splits.observation_id
            and splits.split_id = $split_id
    where image_records.dataset = $dataset
),

-- the same bytes may stand under two names: what is held out anywhere is held out everywhere
strictest as (
    select
        *,
        max(strictness) over (partition by image_id) as most_strict
    from photographs
)

select
    strictest.image_id,
    strictest.observation_id,
    strictest.species_id,
    species.scientific_name,
    strictest.split
from strictest
inner join species on strictest.species_id = species.species_id
where strictest.strictness = strictest.most_strict and strictest.split in ('train', 'val')
order by strictest.image_id, strictest.observation_id
