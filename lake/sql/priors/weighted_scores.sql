-- Scores times how likely each species is where the observation was made, relative to the likeliest one there.
-- grain: one row per (observation_id, species_id)
-- tables: scores, prior_places, priors
-- params: $prior_id, $dataset, $strength
with

weights as (
    select
        place,
        species_id,
        weight
    from priors
    where prior_id = $prior_id
),

places as (
    select
        place,
        max(weight) as largest,
        min(weight) as smallest
    from weights
    group by place
),

observations as (
    select
        observation_id,
        place
    from prior_places
    where prior_id = $prior_id and dataset = $dataset
),

weighted as (
    select
        scores.observation_id,
        scores.species_id,
        scores.score,
        scores.votes,
        -- an observation of no known place stays as it is, and a species of no weight counts as the unlikeliest one
        case
            when places.place is null then 1
            else pow(
                coalesce(coalesce(weights.weight, places.smallest) / nullif(places.largest, 0), 0),
                $strength
            )
        end as factor
    from scores
    left join observations on scores.observation_id = observations.observation_id
    left join places on observations.place = places.place
    left join weights on places.place = weights.place and scores.species_id = weights.species_id
),

-- where nothing would be left, everything stays
judged as (
    select
        *,
        bool_and(factor = 0) over (partition by observation_id) as is_fallback
    from weighted
)

select
    observation_id,
    species_id,
    case when is_fallback then score else score * factor end as score,
    votes,
    is_fallback
from judged
where factor > 0 or is_fallback
order by observation_id, species_id
