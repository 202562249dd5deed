-- How many tiles each part has of each observation.
-- grain: one row per (observation_id, part)
-- tables: image_records, tile_predictions, observation_numbers, parts
-- params: $dataset, $model_version
with

photographs as (
    select distinct
        observation_numbers.number as observation_id,
        image_records.image_id
    from image_records
    inner join observation_numbers on image_records.observation_id = observation_numbers.observation_id
    where image_records.dataset = $dataset
)

select
    photographs.observation_id,
    parts.part,
    count(*) as tile_count
from tile_predictions
inner join photographs on tile_predictions.image_id = photographs.image_id
inner join parts
    on
        tile_predictions.scheme_id = parts.scheme_id
        and tile_predictions.tile_index between parts.first_tile and parts.last_tile
where tile_predictions.model_version = $model_version and tile_predictions.rank = 1
group by photographs.observation_id, parts.part
