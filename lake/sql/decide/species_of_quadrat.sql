-- Species found in each quadrat, by tiles voting for their best species.
-- grain: one row per (observation_id, species_id)
-- tables: image_records, tile_predictions, scope
-- params: $dataset, $model_version, $scheme_id, $min_votes, $min_probability, $allow_empty
with

photographs as (
    select distinct
        image_records.observation_id,
        image_records.image_id
    from image_records
    inner join scope on image_records.observation_id = scope.observation_id
    where image_records.dataset = $dataset
),

best_per_tile as (
    select
        photographs.observation_id,
        tile_predictions.species_id,
        tile_predictions.probability
    from tile_predictions
    inner join photographs on tile_predictions.image_id = photographs.image_id
    where
        tile_predictions.model_version = $model_version
        -- several tilings are joined by a plus
        and list_contains(string_split($scheme_id, '+'), tile_predictions.scheme_id)
        and tile_predictions.rank = 1
),

candidates as (
    select
        observation_id,
        species_id,
        -- probabilities are stored in single precision, and so is the threshold compared
        count(*) filter (where probability >= cast($min_probability as float)) as votes,
        max(probability) as score
    from best_per_tile
    group by observation_id, species_id
),

ranked as (
    select
        observation_id,
        species_id,
        votes,
        score,
        -- a tie goes to the lower id, so that a rerun decides alike
        row_number() over (
            partition by observation_id
            order by votes desc, score desc, species_id
        ) as rank
    from candidates
)

select
    observation_id,
    species_id,
    score,
    votes,
    rank,
    true as is_answer
from ranked
where votes >= $min_votes or (rank = 1 and not $allow_empty)
order by observation_id, rank
