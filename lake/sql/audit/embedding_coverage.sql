-- How many images of each data set are embedded under each key and scheme, and how many are pending.
-- grain: one row per (dataset, embedding_key, scheme_id)
-- tables: image_records, embeddings, embedding_specs
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
)

select
    embedded.dataset,
    embedded.embedding_key,
    embedding_specs.backbone,
    embedded.scheme_id,
    embedded.embedded,
    embedded.tiles,
    sizes.image_count - embedded.embedded as pending
from embedded
inner join sizes on embedded.dataset = sizes.dataset
inner join embedding_specs on embedded.embedding_key = embedding_specs.embedding_key
order by embedded.dataset, embedded.embedding_key, embedded.scheme_id
