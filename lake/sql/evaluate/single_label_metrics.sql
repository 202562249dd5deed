-- Accuracy, top-5 accuracy, macro and weighted F1 of one-species answers.
-- grain: one row per metric
-- tables: truth, answers
-- params: none
with

judged as (
    select
        truth.observation_id,
        truth.species_id as true_id,
        answers.species_id as answered_id
    from truth
    left join answers
        on truth.observation_id = answers.observation_id and answers.rank = 1
),

-- an observation without an answer is a miss, never left out
ranked as (
    select
        truth.observation_id,
        answers.rank
    from truth
    left join answers
        on truth.observation_id = answers.observation_id and truth.species_id = answers.species_id
),

occurrences as (
    select
        true_id as species_id,
        coalesce(answered_id = true_id, false) as is_hit,
        true as is_true,
        false as is_false_answer
    from judged
    union all
    select
        answered_id as species_id,
        false as is_hit,
        false as is_true,
        answered_id != true_id as is_false_answer
    from judged
    where answered_id is not null
),

species_counts as (
    select
        species_id,
        count(*) filter (where is_hit) as hits,
        count(*) filter (where is_true) as support,
        count(*) filter (where is_false_answer) as false_answers
    from occurrences
    group by species_id
),

-- species in truth or answers; 2 tp + fp + fn is never 0 for these
species_scores as (
    select
        support,
        2.0 * hits / (hits + support + false_answers) as f1
    from species_counts
)

select
    'accuracy' as metric,
    avg(case when answered_id = true_id then 1.0 else 0.0 end) as value
from judged
union all
select
    'top5_accuracy' as metric,
    avg(case when rank <= 5 then 1.0 else 0.0 end) as value
from ranked
union all
-- added in one order: threads add in any, and the last digit of a sum hangs on it
select
    'macro_f1' as metric,
    avg(f1 order by f1) as value
from species_scores
union all
select
    'weighted_f1' as metric,
    sum(f1 * support order by f1 * support) / sum(support) as value
from species_scores
