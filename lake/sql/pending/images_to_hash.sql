-- Images of a data set that have no perceptual hash and are not known to fail.
-- grain: one row per image_id
-- tables: image_records, images, perceptual_hashes, ingest_issues
-- params: $dataset
with

wanted as (
    select
        image_id,
        -- one name stands for the image where several records share it
        min(image_name) as image_name
    from image_records
    where dataset = $dataset
    group by image_id
),

-- under whichever of its names it failed
failed as (
    select image_records.image_id
    from image_records
    inner join ingest_issues
        on
            image_records.dataset = ingest_issues.dataset
            and image_records.image_name = ingest_issues.image_name
    where image_records.dataset = $dataset and ingest_issues.kind = 'not_hashed'
)

select
    wanted.image_id,
    wanted.image_name,
    images.byte_count,
    images.ingested_at
from wanted
inner join images on wanted.image_id = images.image_id
anti join perceptual_hashes on wanted.image_id = perceptual_hashes.image_id
anti join failed on wanted.image_id = failed.image_id
-- as they lie in the files, so that a shard reads a stretch of them and not all
order by images.ingested_at, wanted.image_id
