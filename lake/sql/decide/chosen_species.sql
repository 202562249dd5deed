-- Species kept for each quadrat: those with votes and score enough, at least the best ones, and no more than allowed.
-- grain: one row per (observation_id, species_id)
-- tables: scores
-- params: $pools_scores, $min_votes, $threshold, $least_species, $most_species
with

judged as (
    select
        observation_id,
        species_id,
        score,
        votes,
        votes >= $min_votes and ($threshold is null or score >= $threshold) as is_kept
    from scores
),

ranked as (
    select
        observation_id,
        species_id,
        score,
        votes,
        is_kept,
        -- a tie goes to the lower id, so that a rerun decides alike
        row_number() over (
            partition by observation_id
            order by is_kept desc, if($pools_scores, 0, votes) desc, score desc, votes desc, species_id
        ) as rank
    from judged
)

select
    observation_id,
    species_id,
    score,
    votes,
    rank,
    true as is_answer
from ranked
where (is_kept and rank <= $most_species) or rank <= $least_species
order by observation_id, rank
