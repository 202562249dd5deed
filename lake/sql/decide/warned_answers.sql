-- Answers in which the least sure observations say the best venomous species among their candidates.
-- grain: one row per (observation_id, species_id)
-- tables: answers, venomous_species
-- params: $venomous_share
with

-- the rule of word2vector (SnakeCLEF 2023): a missed venomous species costs most where nobody is sure anyway
least_sure as (
    select observation_id
    from answers
    where rank = 1
    qualify
        row_number() over (order by score, observation_id)
        <= round(cast($venomous_share as double) * count(*) over ())
),

preferred as (
    select
        answers.observation_id,
        answers.species_id,
        answers.score,
        answers.votes,
        answers.rank,
        least_sure.observation_id is not null and venomous_species.species_id is not null as is_preferred
    from answers
    left join least_sure on answers.observation_id = least_sure.observation_id
    left join venomous_species on answers.species_id = venomous_species.species_id
),

best_preferred as (
    select
        observation_id,
        min(rank) as rank
    from preferred
    where is_preferred
    group by observation_id
),

-- the best venomous candidate goes first; where there is none, nothing changes
ranked as (
    select
        preferred.observation_id,
        preferred.species_id,
        preferred.score,
        preferred.votes,
        row_number() over (
            partition by preferred.observation_id
            order by best_preferred.observation_id is null, preferred.rank
        ) as rank
    from preferred
    left join best_preferred
        on
            preferred.observation_id = best_preferred.observation_id
            and preferred.rank = best_preferred.rank
)

select
    observation_id,
    species_id,
    score,
    votes,
    rank,
    rank = 1 as is_answer
from ranked
order by observation_id, rank
