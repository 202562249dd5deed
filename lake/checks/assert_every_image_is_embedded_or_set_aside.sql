-- Images of a data set that have no embedding and no reason for having none.
-- grain: one row per image_id
-- tables: image_records, boxes, embeddings, ingest_issues
-- params: $dataset, $embedding_key, $scheme_id
with

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

select distinct image_records.image_id
from image_records
anti join embedded on image_records.image_id = embedded.image_id
anti join failed on image_records.image_id = failed.image_id
-- cut at boxes, an image without any has nothing to embed
where
    image_records.dataset = $dataset
    and (not starts_with($scheme_id, 'boxes-') or image_records.image_id in (select boxed.image_id from boxed))
