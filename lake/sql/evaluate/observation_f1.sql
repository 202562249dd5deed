-- How many of its species each observation was answered with, and its F1, whether it holds one species or several.
-- grain: one row per observation_id
-- tables: truth, answers
-- params: none
with

given as (
    select
        observation_id,
        species_id
    from answers
    where is_answer
),

true_sizes as (
    select
        truth.observation_id,
        count(*) as true_count,
        count(given.species_id) as hits
    from truth
    left join given on truth.observation_id = given.observation_id and truth.species_id = given.species_id
    group by truth.observation_id
),

answer_sizes as (
    select
        observation_id,
        count(*) as answer_count
    from given
    group by observation_id
)

-- an observation without an answer is a miss, never left out
select
    true_sizes.observation_id,
    true_sizes.true_count,
    coalesce(answer_sizes.answer_count, 0) as answer_count,
    true_sizes.hits,
    2.0 * true_sizes.hits / (true_sizes.true_count + coalesce(answer_sizes.answer_count, 0)) as f1
from true_sizes
left join answer_sizes on true_sizes.observation_id = answer_sizes.observation_id
order by true_sizes.observation_id
