-- Tiles of some observations without exactly one best prediction by a model.
-- grain: one row per (image_id, tile_index)
-- tables: image_records, embeddings, tile_predictions, scope
-- params: $dataset, $embedding_key, $scheme_id, $model_version
with

wanted as (
    select distinct image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

tiles as (
    select
        embeddings.image_id,
        embeddings.tile_index
    from embeddings
    semi join wanted on embeddings.image_id = wanted.image_id
    where embeddings.embedding_key = $embedding_key and embeddings.scheme_id = $scheme_id
),

best as (
    select
        image_id,
        tile_index,
        count(*) as best_count
    from tile_predictions
    where model_version = $model_version and scheme_id = $scheme_id and rank = 1
    group by image_id, tile_index
)

select
    tiles.image_id,
    tiles.tile_index,
    coalesce(best.best_count, 0) as best_count
from tiles
left join best on tiles.image_id = best.image_id and tiles.tile_index = best.tile_index
where coalesce(best.best_count, 0) != 1
