-- The best species of each tile of one image, with the place of the tile.
-- grain: one row per (scheme_id, tile_index)
-- tables: embeddings, tile_predictions, parts
-- params: $embedding_key, $image_id, $model_version
select
    parts.part,
    embeddings.tile_index,
    embeddings.x0,
    embeddings.y0,
    embeddings.x1,
    embeddings.y1,
    tile_predictions.species_id,
    tile_predictions.probability
from embeddings
inner join tile_predictions
    on
        embeddings.image_id = tile_predictions.image_id
        and embeddings.scheme_id = tile_predictions.scheme_id
        and embeddings.tile_index = tile_predictions.tile_index
inner join parts
    on embeddings.scheme_id = parts.scheme_id and embeddings.tile_index between parts.first_tile and parts.last_tile
where
    embeddings.embedding_key = $embedding_key
    and embeddings.image_id = $image_id
    and tile_predictions.model_version = $model_version
    and tile_predictions.rank = 1
order by parts.part, embeddings.tile_index
