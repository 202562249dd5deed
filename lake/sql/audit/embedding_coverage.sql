-- How many images of each data set are embedded under each key and scheme, and how many are pending.
-- grain: one row per (dataset, embedding_key, scheme_id)
-- tables: image_records, boxes, embeddings, embedding_specs, ingest_issues
-- params: none
with

wanted as (
    select distinct
        dataset,
        image_id
    from image_records
),

sizes as (
    select
        dataset,
        count(*) as image_count
    from wanted
    group by dataset
),

-- cut at boxes, only images that have some are ever embedded
boxed as (
    select
        wanted.dataset,
        boxes.scheme_id,
        count(distinct boxes.image_id) as image_count
    from boxes
    inner join wanted on boxes.image_id = wanted.image_id
    group by wanted.dataset, boxes.scheme_id
),

embedded as (
    select
        wanted.dataset,
        embeddings.embedding_key,
        embeddings.scheme_id,
        count(distinct embeddings.image_id) as embedded,
        count(*) as tiles
    from embeddings
    inner join wanted on embeddings.image_id = wanted.image_id
    group by wanted.dataset, embeddings.embedding_key, embeddings.scheme_id
),

-- what is known to fail under a key and scheme is not pending
failed as (
    select
        image_records.dataset,
        ingest_issues.kind,
        count(distinct image_records.image_id) as image_count
    from image_records
    inner join ingest_issues
        on
            image_records.dataset = ingest_issues.dataset
            and image_records.image_name = ingest_issues.image_name
    where ingest_issues.kind like 'not_embedded:%'
    group by image_records.dataset, ingest_issues.kind
)

-- a data set without any embedding is a row as well, all of it pending
select
    sizes.dataset,
    embedded.embedding_key,
    embedding_specs.backbone,
    embedded.scheme_id,
    coalesce(embedded.embedded, 0) as embedded,
    coalesce(embedded.tiles, 0) as tiles,
    coalesce(boxed.image_count, sizes.image_count)
    - coalesce(embedded.embedded, 0)
    - coalesce(failed.image_count, 0) as pending
from sizes
left join embedded on sizes.dataset = embedded.dataset
left join embedding_specs on embedded.embedding_key = embedding_specs.embedding_key
left join boxed on embedded.dataset = boxed.dataset and embedded.scheme_id = boxed.scheme_id
left join failed
    on
        sizes.dataset = failed.dataset
        and failed.kind = 'not_embedded:' || embedded.embedding_key || ':' || embedded.scheme_id
order by sizes.dataset, embedded.embedding_key, embedded.scheme_id
