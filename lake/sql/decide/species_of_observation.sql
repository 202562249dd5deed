-- The one species of each observation and its runners-up, by mean probability over its photographs and tiles.
-- grain: one row per (observation_id, species_id)
-- tables: image_records, tile_predictions, scope
-- params: $dataset, $model_version, $scheme_id, $candidates
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
        tile_predictions.tile_index,
        tile_predictions.rank,
        tile_predictions.species_id,
        tile_predictions.probability
    from tile_predictions
    inner join photographs on tile_predictions.image_id = photographs.image_id
    where
        tile_predictions.model_version = $model_version
        -- several tilings are joined by a plus
        and list_contains(string_split($scheme_id, '+'), tile_predictions.scheme_id)
),

tile_counts as (
    select
        observation_id,
        count(*) as tile_count
    from guesses
    where rank = 1
    group by observation_id
),

-- a species outside a tile's best k counts as impossible there
means as (
    select
        guesses.observation_id,
        guesses.species_id,
        -- the order of a parallel sum must not decide a tie
        fsum(guesses.probability) / any_value(tile_counts.tile_count) as score,
        count(*) filter (where guesses.rank = 1) as votes
    from guesses
    inner join tile_counts on guesses.observation_id = tile_counts.observation_id
    group by guesses.observation_id, guesses.species_id
),

ranked as (
    select
        observation_id,
        species_id,
        score,
        votes,
        row_number() over (
            partition by observation_id
            order by score desc, votes desc, species_id
        ) as rank
    from means
)

select
    observation_id,
    species_id,
    score,
    votes,
    rank,
    rank = 1 as is_answer
from ranked
where rank <= $candidates
order by observation_id, rank
