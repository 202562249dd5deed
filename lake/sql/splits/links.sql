-- Observations of a data set that may not be parted: each with the smallest one that it shares something with.
-- grain: one row per (observation_id, joined_to)
-- tables: image_records, image_clusters
-- params: $dataset, $group_by
with

records as (
    select
        observation_id,
        image_id,
        author,
        base_quadrat
    from image_records
    where dataset = $dataset
),

shared as (
    select
        'bytes' as kind,
        image_id as value,
        observation_id
    from records
    union all
    select
        'author' as kind,
        author as value,
        observation_id
    from records
    union all
    select
        'base_quadrat' as kind,
        base_quadrat as value,
        observation_id
    from records
    union all
    select
        'near_duplicate' as kind,
        image_clusters.cluster_id as value,
        records.observation_id
    from records
    inner join image_clusters on records.image_id = image_clusters.image_id
),

-- to one of those who share it, not each to each: a thousand photographs of one author are 999 rows
joined as (
    select
        observation_id,
        min(observation_id) over (partition by kind, value) as joined_to
    from shared
    -- the same bytes on two sides are never an honest split, however it is grouped
    where kind in ('bytes', $group_by) and value is not null
)

select distinct
    observation_id,
    joined_to
from joined
where observation_id <> joined_to
order by observation_id, joined_to
