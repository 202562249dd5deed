-- Held-out photographs that have a counterpart among those that are learnt from, each pair by its strongest kind.
-- grain: one row per (kind, held_out_image, training_image)
-- tables: image_records, splits, perceptual_hashes, near_hashes
-- params: $dataset, $split_id
with

photographs as (
    select
        image_records.image_name,
        image_records.image_id,
        image_records.observation_id,
        image_records.split_tag,
        splits.split,
        perceptual_hashes.phash
    from image_records
    left join splits
        on
            image_records.observation_id = splits.observation_id
            and splits.split_id = $split_id
    left join perceptual_hashes on image_records.image_id = perceptual_hashes.image_id
    where image_records.dataset = $dataset
),

learnt_from as (
    select * from photographs
    where split = 'train'
),

-- by the split, or by the source's own tag, also where the observation has no label or is learnt from all the same
held_out as (
    select
        image_name,
        image_id,
        observation_id,
        phash,
        coalesce(split = 'train', false) as is_learnt_from,
        case when 'test' in (split, split_tag) then 'test' else 'val' end as split
    from photographs
    where split in ('val', 'test') or split_tag in ('val', 'test')
),

of_observation as (
    select
        observation_id,
        min(image_name) as training_image,
        count(*) as training_count
    from learnt_from
    group by observation_id
),

same_observation as (
    select
        held_out.image_name,
        held_out.split,
        of_observation.training_image,
        of_observation.training_count
    from held_out
    inner join of_observation on held_out.observation_id = of_observation.observation_id
),

of_bytes as (
    select
        image_id,
        min(image_name) as training_image,
        count(*) as training_count
    from learnt_from
    group by image_id
),

same_bytes as (
    select
        held_out.image_name,
        held_out.split,
        of_bytes.training_image,
        of_bytes.training_count
    from held_out
    inner join of_bytes on held_out.image_id = of_bytes.image_id
    where not held_out.is_learnt_from
),

-- one photograph stands for all that share its hash: pairs of a thousand pictures of one colour would be a million
of_hash as (
    select
        phash,
        min(image_id) as first_id,
        arg_min(image_name, (image_id, image_name)) as first_image,
        arg_max(image_name, (image_id, image_name)) as last_image,
        count(*) as training_count
    from learnt_from
    where phash is not null
    group by phash
),

near as (
    select
        phash,
        other_phash,
        distance
    from near_hashes
    union all
    select
        other_phash as phash,
        phash as other_phash,
        distance
    from near_hashes
    union all
    select
        phash,
        phash as other_phash,
        0 as distance
    from of_hash
),

near_duplicate as (
    select
        held_out.image_name,
        held_out.split,
        -- not the held-out photograph's own bytes, which are the stronger kind
        case when of_hash.first_id = held_out.image_id then of_hash.last_image else of_hash.first_image end
            as training_image,
        of_hash.training_count
        - case when held_out.phash = near.other_phash then coalesce(of_bytes.training_count, 0) else 0 end
            as training_count,
        near.distance
    from held_out
    inner join near on held_out.phash = near.phash
    inner join of_hash on near.other_phash = of_hash.phash
    left join of_bytes on held_out.image_id = of_bytes.image_id
    where not held_out.is_learnt_from
),

found as (
    select
        'same_observation' as kind,
        *,
        null as distance
    from same_observation
    union all
    select
        'same_bytes' as kind,
        *,
        null as distance
    from same_bytes
    union all
    select
        'near_duplicate' as kind,
        *
    from near_duplicate
    where training_count > 0
)

select
    kind,
    split,
    image_name as held_out_image,
    training_image,
    training_count,
    cast(distance as integer) as distance
from found
order by
    list_position(['same_observation', 'same_bytes', 'near_duplicate'], kind),
    distance,
    held_out_image,
    training_image
