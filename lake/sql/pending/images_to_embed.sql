-- Images of a data set that wait for their embedding under a key and a tiling scheme, and are not known to fail.
-- grain: one row per image_id
-- tables: image_records, images, boxes, embeddings, ingest_issues
-- params: $dataset, $embedding_key, $scheme_id
with

wanted as (
    select distinct
        image_id,
        -- one name stands for the image where several records share it
        min(image_name) over (partition by image_id) as image_name
    from image_records
    where dataset = $dataset
),

boxed as (
    select distinct image_id
    from boxes
    where scheme_id = $scheme_id
),

embedded as (
    select distinct image_id
    from embeddings
    where embedding_key = $embedding_key and scheme_id = $scheme_id
),

-- under whichever of its names it was set aside
failed as (
    select image_records.image_id
    from image_records
    inner join ingest_issues
        on
            image_records.dataset = ingest_issues.dataset
            and image_records.image_name = ingest_issues.image_name
    where
        image_records.dataset = $dataset
        and ingest_issues.kind = 'not_embedded:' || $embedding_key || ':' || $scheme_id
)

select
    wanted.image_id,
    wanted.image_name,
    images.byte_count,
    images.ingested_at,
    images.width_px,
    images.height_px
from wanted
inner join images on wanted.image_id = images.image_id
anti join embedded on wanted.image_id = embedded.image_id
anti join failed on wanted.image_id = failed.image_id
-- cut at boxes, an image without any waits for those and not for its vectors
where not starts_with($scheme_id, 'boxes-') or wanted.image_id in (select boxed.image_id from boxed)
-- as they lie in the files, so that a shard reads a stretch of them and not all
order by images.ingested_at, wanted.image_id
