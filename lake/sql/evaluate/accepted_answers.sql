-- Answers in the taxonomy of today: what was renamed or merged since goes by its new id, once.
-- grain: one row per (observation_id, species_id)
-- tables: answers, accepted_species
-- params: none
with

renamed as (
    select
        answers.observation_id,
        -- what was split stays what it was: nobody can say which of the new species is meant
        coalesce(accepted_species.accepted_id, answers.species_id) as species_id,
        answers.score,
        answers.votes,
        answers.rank,
        answers.is_answer
    from answers
    left join accepted_species on answers.species_id = accepted_species.species_id
),

-- of two answers that have become one species the better one stands
merged as (
    select
        observation_id,
        species_id,
        max(score) as score,
        sum(votes) as votes,
        min(rank) as best_rank,
        bool_or(is_answer) as is_answer
    from renamed
    group by observation_id, species_id
)

select
    observation_id,
    species_id,
    score,
    cast(votes as bigint) as votes,
    cast(row_number() over (partition by observation_id order by best_rank, species_id) as integer) as rank,
    is_answer
from merged
order by observation_id, rank
