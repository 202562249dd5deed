-- The one species of each observation and its runners-up.
-- grain: one row per (observation_id, species_id)
-- tables: scores
-- params: $pools_scores, $candidates
with

ranked as (
    select
        observation_id,
        species_id,
        score,
        votes,
        -- a tie goes to the lower id, so that a rerun decides alike
        row_number() over (
            partition by observation_id
            order by if($pools_scores, 0, votes) desc, score desc, votes desc, species_id
        ) as rank
    from scores
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
