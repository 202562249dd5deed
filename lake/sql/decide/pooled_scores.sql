-- How strongly the tiles of each observation speak for each species, pooled in the way that is asked for.
-- grain: one row per (observation_id, species_id)
-- tables: image_records, tile_predictions, scope, parts
-- params: $dataset, $model_version, $pooling, $counted_ranks, $voting_ranks, $min_probability
with

-- many rows are grouped by a number faster than by a name, and in less memory
observations as (
    select
        observation_id,
        cast(row_number() over (order by observation_id) as integer) as number
    from scope
),

photographs as (
    select distinct
        observations.number,
        image_records.image_id
    from image_records
    inner join observations on image_records.observation_id = observations.observation_id
    where image_records.dataset = $dataset
),

-- a part is a tiling, or the tiles of one level of it
guesses as (
    select
        photographs.number,
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
        number,
        count(*) as tile_count
    from guesses
    where rank = 1
    group by number
),

pooled as (
    select
        number,
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
    group by number, species_id
)

select
    observations.observation_id,
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
inner join tile_counts on pooled.number = tile_counts.number
inner join observations on pooled.number = observations.number
