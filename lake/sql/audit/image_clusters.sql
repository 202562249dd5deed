-- Images of a data set that are near-duplicates of others, with the cluster that they are in.
-- grain: one row per image_id
-- tables: image_records, perceptual_hashes, hash_clusters
-- params: $dataset
with

clustered as (
    select distinct
        perceptual_hashes.image_id,
        -- a hash without a near one is the cluster of the images that share it
        coalesce(hash_clusters.cluster_phash, perceptual_hashes.phash) as cluster_phash
    from image_records
    inner join perceptual_hashes on image_records.image_id = perceptual_hashes.image_id
    left join hash_clusters on perceptual_hashes.phash = hash_clusters.phash
    where image_records.dataset = $dataset
)

select
    image_id,
    min(image_id) over (partition by cluster_phash) as cluster_id
from clustered
qualify count(*) over (partition by cluster_phash) > 1
order by image_id
