-- How strongly the tiles of each observation speak for each species, pooled in the way that is asked for.
-- grain: one row per (observation_id, species_id)
-- tables: image_records, tile_predictions, scope, parts
-- params: $dataset, $model_version, $pooling, $counted_ranks, $voting_ranks, $min_probability
with

photographs as (
    select distinct
        image_records.observation_id,
        image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

-- a part is a tiling, or the tiles of one level of it
guesses as (
    select
        photographs.observation_id,
        tile_predictions.species_id,
        tile_predictions.rank,
        tile_predictions.probability
    from tile_predictions
    inner join photographs on tile_predictions.image_id = photographs.image_id
    inner join parts
        on
            tile_predictions.scheme_id = parts.scheme_id
            and tile_predictions.tile_index between parts.first_tile and parts.last_tile
    where
        tile_predictions.model_version = $model_version
        and tile_predictions.rank <= $counted_ranks
),

tile_counts as (
    select
        observation_id,
        count(*) as tile_count
    from guesses
    where rank = 1
    group by observation_id
),

pooled as (
    select
        observation_id,
        species_id,
        max(probability) as highest,
        sum(cast(probability as double)) as total,
        -- a probability of 1 leaves no doubt, but its logarithm no number
        case when $pooling = 'noisy_or' then sum(ln(greatest(1 - cast(probability as double), 1e-12))) end as doubt,
        count(*) filter (
            -- probabilities are stored in single precision, and so is the threshold compared
            where rank <= $voting_ranks and probability >= cast($min_probability as float)
        ) as votes
    from guesses
    group by observation_id, species_id
)

select
    pooled.observation_id,
    pooled.species_id,
    cast(
        -- rounded, as the order of a parallel sum must not decide a tie
        case $pooling
            when 'sum' then round(pooled.total, 12)
            -- a species outside a tile's best k counts as impossible there
            when 'mean' then round(pooled.total / tile_counts.tile_count, 12)
            when 'mode' then round(pooled.total / tile_counts.tile_count, 12)
            when 'noisy_or' then round(1 - exp(pooled.doubt), 12)
            else pooled.highest
        end as double
    ) as score,
    pooled.votes
from pooled
inner join tile_counts on pooled.observation_id = tile_counts.observation_id
