-- What the tiles of each part say of each species, in pieces that can be put together for any choice of parts.
-- grain: one row per (observation_id, species_id, part)
-- tables: image_records, tile_predictions, observation_numbers, species_numbers, parts
-- params: $dataset, $model_version, $counted_ranks, $voting_ranks, $min_probability
with

photographs as (
    select distinct
        observation_numbers.number as observation_id,
        image_records.image_id
    from image_records
    inner join observation_numbers on image_records.observation_id = observation_numbers.observation_id
    where image_records.dataset = $dataset
),

guesses as (
    select
        photographs.observation_id,
        species_numbers.number as species_id,
        parts.part,
        tile_predictions.rank,
        tile_predictions.probability
    from tile_predictions
    inner join photographs on tile_predictions.image_id = photographs.image_id
    inner join species_numbers on tile_predictions.species_id = species_numbers.species_id
    inner join parts
        on
            tile_predictions.scheme_id = parts.scheme_id
            and tile_predictions.tile_index between parts.first_tile and parts.last_tile
    where
        tile_predictions.model_version = $model_version
        and tile_predictions.rank <= $counted_ranks
)

select
    observation_id,
    species_id,
    part,
    max(probability) as highest,
    sum(cast(probability as double)) as total,
    sum(ln(greatest(1 - cast(probability as double), 1e-12))) as doubt,
    cast(
        count(*) filter (where rank <= $voting_ranks and probability >= cast($min_probability as float)) as integer
    ) as votes
from guesses
group by observation_id, species_id, part
