-- The embedding keys that a data set has vectors under, the one with the most and newest vectors first.
-- grain: one row per embedding_key
-- tables: image_records, embeddings, embedding_specs
-- params: $dataset, $scheme_id
with

wanted as (
    select distinct image_id
    from image_records
    where dataset = $dataset
),

covered as (
    select
        embeddings.embedding_key,
        count(distinct embeddings.image_id) as image_count,
        max(embeddings.embedded_at) as embedded_at
    from embeddings
    semi join wanted on embeddings.image_id = wanted.image_id
    where embeddings.scheme_id = $scheme_id
    group by embeddings.embedding_key
)

select
    covered.embedding_key,
    covered.image_count,
    embedding_specs.backbone,
    embedding_specs.weights_hash,
    embedding_specs.spec
from covered
inner join embedding_specs on covered.embedding_key = embedding_specs.embedding_key
order by covered.image_count desc, covered.embedded_at desc, covered.embedding_key
