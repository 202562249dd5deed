-- The tilings of which a model has predicted tiles of a data set.
-- grain: one row per scheme_id
-- tables: image_records, tile_predictions
-- params: $dataset, $model_version
with

photographs as (
    select distinct image_id
    from image_records
    where dataset = $dataset
)

select distinct tile_predictions.scheme_id
from tile_predictions
semi join photographs on tile_predictions.image_id = photographs.image_id
where tile_predictions.model_version = $model_version
order by tile_predictions.scheme_id
