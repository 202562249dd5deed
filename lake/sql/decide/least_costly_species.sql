-- The answer of each observation whose mistakes are expected to cost least, among its candidates; they follow by cost.
-- grain: one row per (observation_id, species_id)
-- tables: scores, venomous_species, costs
-- params: $candidates
with

candidates as (
    select
        scores.observation_id,
        scores.species_id,
        scores.score,
        scores.votes,
        venomous_species.species_id is not null as is_venomous
    from scores
    left join venomous_species on scores.species_id = venomous_species.species_id
),

-- the probability of a candidate is its share of the scores
shares as (
    select
        observation_id,
        is_venomous,
        fsum(score) as total
    from candidates
    group by observation_id, is_venomous
),

-- what an answer costs if any other species is true; to be right costs nothing
expected as (
    select
        candidates.observation_id,
        candidates.species_id,
        candidates.score,
        candidates.votes,
        fsum(
            costs.cost
            * (shares.total - if(shares.is_venomous = candidates.is_venomous, candidates.score, 0))
        ) as cost
    from candidates
    inner join shares on candidates.observation_id = shares.observation_id
    inner join costs
        on shares.is_venomous = costs.is_truth_venomous and candidates.is_venomous = costs.is_answer_venomous
    group by candidates.observation_id, candidates.species_id, candidates.score, candidates.votes
),

ranked as (
    select
        observation_id,
        species_id,
        score,
        votes,
        row_number() over (
            partition by observation_id
            -- a difference in the last places is none
            order by round(cost, 12), score desc, votes desc, species_id
        ) as rank
    from expected
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
