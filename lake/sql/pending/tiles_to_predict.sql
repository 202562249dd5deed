-- Images of some observations that have embeddings but no predictions by a model under a tiling scheme.
-- grain: one row per image_id
-- tables: image_records, embeddings, tile_predictions, scope
-- params: $dataset, $embedding_key, $scheme_id, $model_version
with

wanted as (
    select distinct image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

embedded as (
    select distinct image_id
    from embeddings
    where embedding_key = $embedding_key and scheme_id = $scheme_id
),

predicted as (
    select distinct image_id
    from tile_predictions
    where model_version = $model_version and scheme_id = $scheme_id
)

select wanted.image_id
from wanted
semi join embedded on wanted.image_id = embedded.image_id
anti join predicted on wanted.image_id = predicted.image_id
order by wanted.image_id
