-- How often each species is there, is answered and is both, whether observations hold one species or several.
-- grain: one row per species_id
-- tables: truth, answers
-- params: none
with

-- answers to observations without truth are not scored
given as (
    select
        observation_id,
        species_id
    from answers
    semi join truth on answers.observation_id = truth.observation_id
    where is_answer
),

species_counts as (
    select
        coalesce(truth.species_id, given.species_id) as species_id,
        count(truth.species_id) as support,
        count(given.species_id) as predicted,
        count(*) filter (where truth.species_id = given.species_id) as true_positives
    from truth
    full outer join given
        on truth.observation_id = given.observation_id and truth.species_id = given.species_id
    group by coalesce(truth.species_id, given.species_id)
)

select
    species_id,
    support,
    predicted,
    true_positives,
    true_positives / nullif(predicted, 0) as precision,
    true_positives / nullif(support, 0) as recall,
    -- what is in truth or answers is never 0 / 0
    2 * true_positives / (support + predicted) as f1
from species_counts
order by species_id
