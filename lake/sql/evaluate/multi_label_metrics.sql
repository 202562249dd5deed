-- F1 of answers that may hold several species: averaged over observations, over species, and pooled.
-- grain: one row per metric
-- tables: truth, answers
-- params: none
with

observations as (
    select distinct observation_id
    from truth
),

given as (
    select
        observation_id,
        species_id
    from answers
    where is_answer
),

-- F1 counts the species of an answer as a set; ranks do not matter
pairs as (
    select
        coalesce(truth.observation_id, given.observation_id) as observation_id,
        coalesce(truth.species_id, given.species_id) as species_id,
        truth.species_id is not null as is_true,
        given.species_id is not null as is_answered
    from truth
    full outer join given
        on truth.observation_id = given.observation_id and truth.species_id = given.species_id
),

-- answers to observations without truth are not scored
scored as (
    select pairs.*
    from pairs
    semi join observations on pairs.observation_id = observations.observation_id
),

observation_scores as (
    select
        observation_id,
        2.0 * count(*) filter (where is_true and is_answered)
        / (count(*) filter (where is_true) + count(*) filter (where is_answered)) as f1
    from scored
    group by observation_id
),

species_scores as (
    select
        species_id,
        2.0 * count(*) filter (where is_true and is_answered)
        / (count(*) filter (where is_true) + count(*) filter (where is_answered)) as f1
    from scored
    group by species_id
)

-- added in one order: threads add in any, and the last digit of a sum hangs on it
select
    'macro_f1_per_observation' as metric,
    avg(f1 order by f1) as value
from observation_scores
union all
select
    'macro_f1_per_species' as metric,
    avg(f1 order by f1) as value
from species_scores
union all
select
    'micro_f1' as metric,
    2.0 * count(*) filter (where is_true and is_answered)
    / (count(*) filter (where is_true) + count(*) filter (where is_answered)) as value
from scored
