-- The best species of each observation by the tiles of each scheme alone, in the taxonomy of today.
-- grain: one row per (observation_id, scheme_id)
-- tables: image_records, tile_predictions, scope, accepted_species
-- params: $dataset, $model_version, $is_one
with

photographs as (
    select distinct
        scope.observation_id,
        image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

guesses as (
    select
        photographs.observation_id,
        tile_predictions.scheme_id,
        coalesce(accepted_species.accepted_id, tile_predictions.species_id) as species_id,
        tile_predictions.rank,
        cast(tile_predictions.probability as double) as probability
    from tile_predictions
    inner join photographs on tile_predictions.image_id = photographs.image_id
    left join accepted_species on tile_predictions.species_id = accepted_species.species_id
    where tile_predictions.model_version = $model_version
),

tile_counts as (
    select
        observation_id,
        scheme_id,
        count(*) as tile_count
    from guesses
    where rank = 1
    group by observation_id, scheme_id
),

pooled as (
    select
        guesses.observation_id,
        guesses.scheme_id,
        guesses.species_id,
        -- of one organism all tiles speak, of a quadrat the one that shows the species
        round(
            if($is_one, fsum(guesses.probability) / any_value(tile_counts.tile_count), max(guesses.probability)), 6
        ) as probability
    from guesses
    inner join tile_counts
        on guesses.observation_id = tile_counts.observation_id and guesses.scheme_id = tile_counts.scheme_id
    group by guesses.observation_id, guesses.scheme_id, guesses.species_id
)

select
    observation_id,
    scheme_id,
    species_id,
    probability
from pooled
qualify row_number() over (partition by observation_id, scheme_id order by probability desc, species_id) = 1
order by observation_id, scheme_id
