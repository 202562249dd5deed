-- How likely a model finds each species in each cluster: the mean over its observations, of what their tiles say.
-- grain: one row per (place, species_id)
-- tables: image_records, tile_predictions, observation_places
-- params: $dataset, $model_version, $scheme_id
with

photographs as (
    select distinct
        observation_places.place,
        image_records.observation_id,
        image_records.image_id
    from image_records
    inner join observation_places on image_records.observation_id = observation_places.observation_id
    where image_records.dataset = $dataset
),

guesses as (
    select
        photographs.place,
        photographs.observation_id,
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

-- An observation of many tiles has no more say than one of few. Decimals add up to the same in any order: a prior is
-- named by its weights, and would have another name each time.
pooled as (
    select
        guesses.place,
        guesses.species_id,
        cast(sum(cast(guesses.probability as decimal(38, 20))) as double) / any_value(tile_counts.tile_count)
            as probability
    from guesses
    inner join tile_counts on guesses.observation_id = tile_counts.observation_id
    group by guesses.place, guesses.observation_id, guesses.species_id
),

-- of a tile the best k are stored: their sum is not 1
sums as (
    select
        place,
        species_id,
        sum(cast(probability as decimal(38, 20))) as probability
    from pooled
    group by place, species_id
),

totals as (
    select
        place,
        sum(probability) as probability
    from sums
    group by place
)

select
    sums.place,
    sums.species_id,
    cast(sums.probability as double) / cast(totals.probability as double) as weight
from sums
inner join totals on sums.place = totals.place
order by sums.place, sums.species_id
