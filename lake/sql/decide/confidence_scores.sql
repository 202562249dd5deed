-- How strongly the tiles of each observation speak for each species, tiles that are surer counting more, as a z-score.
-- grain: one row per (observation_id, species_id)
-- tables: image_records, tile_predictions, scope, parts
-- params: $dataset, $model_version, $counted_ranks, $voting_ranks, $min_probability
with

photographs as (
    select distinct
        image_records.observation_id,
        image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

guesses as (
    select
        photographs.observation_id,
        tile_predictions.image_id,
        tile_predictions.scheme_id,
        tile_predictions.tile_index,
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

-- The rule of NEUON (PlantCLEF 2024): the logarithm of the variance of a tile's best 1,000 says how sure it is. Here of
-- probabilities: of percentages, as they took it, the surest tiles would count less than others.
doubts as (
    select
        observation_id,
        image_id,
        scheme_id,
        tile_index,
        abs(
            log10(
                greatest(
                    sum(cast(probability as double) * probability) / 1000 - pow(sum(probability) / 1000, 2),
                    1e-12
                )
            )
        ) as doubt
    from guesses
    group by observation_id, image_id, scheme_id, tile_index
),

limits as (
    select
        observation_id,
        max(doubt) + 0.5 as most_doubt
    from doubts
    group by observation_id
),

confidences as (
    select
        doubts.observation_id,
        doubts.image_id,
        doubts.scheme_id,
        doubts.tile_index,
        sqrt((limits.most_doubt - doubts.doubt) / limits.most_doubt) as confidence
    from doubts
    inner join limits on doubts.observation_id = limits.observation_id
),

totals as (
    select
        observation_id,
        fsum(confidence) as confidence
    from confidences
    group by observation_id
),

weighted as (
    select
        guesses.observation_id,
        guesses.species_id,
        fsum(confidences.confidence * guesses.probability) as total,
        count(*) filter (
            where guesses.rank <= $voting_ranks and guesses.probability >= cast($min_probability as float)
        ) as votes
    from guesses
    inner join confidences
        on
            guesses.observation_id = confidences.observation_id
            and guesses.image_id = confidences.image_id
            and guesses.scheme_id = confidences.scheme_id
            and guesses.tile_index = confidences.tile_index
    group by guesses.observation_id, guesses.species_id
),

-- the z-score is taken over the best hundred
best_hundred as (
    select
        weighted.observation_id,
        weighted.species_id,
        weighted.total / totals.confidence as strength,
        weighted.votes
    from weighted
    inner join totals on weighted.observation_id = totals.observation_id
    qualify
        row_number() over (
            partition by weighted.observation_id
            order by weighted.total desc, weighted.species_id
        ) <= 100
),

moments as (
    select
        observation_id,
        avg(strength) as mean,
        stddev_pop(strength) as deviation
    from best_hundred
    group by observation_id
)

select
    best_hundred.observation_id,
    best_hundred.species_id,
    -- of a single species, or of equals, none stands out
    round(coalesce((best_hundred.strength - moments.mean) / nullif(moments.deviation, 0), 0), 9) as score,
    best_hundred.votes
from best_hundred
inner join moments on best_hundred.observation_id = moments.observation_id
