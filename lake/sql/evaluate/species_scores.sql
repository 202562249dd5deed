-- How well each species was told from the others, and what it was taken for most often.
-- grain: one row per species_id
-- tables: truth, answers, train_counts
-- params: none
with

-- an observation without an answer is a miss, never left out
judged as (
    select
        truth.species_id as true_id,
        answers.species_id as answered_id
    from truth
    left join answers on truth.observation_id = answers.observation_id
),

true_counts as (
    select
        true_id as species_id,
        count(*) as support,
        count(*) filter (where answered_id = true_id) as true_positives
    from judged
    group by true_id
),

answer_counts as (
    select
        answered_id as species_id,
        count(*) as predicted
    from judged
    where answered_id is not null
    group by answered_id
),

species_counts as (
    select
        coalesce(true_counts.species_id, answer_counts.species_id) as species_id,
        coalesce(true_counts.support, 0) as support,
        coalesce(answer_counts.predicted, 0) as predicted,
        coalesce(true_counts.true_positives, 0) as true_positives
    from true_counts
    full outer join answer_counts on true_counts.species_id = answer_counts.species_id
),

wrong_answers as (
    select
        true_id as species_id,
        answered_id,
        count(*) as observation_count
    from judged
    where answered_id != true_id
    group by true_id, answered_id
),

most_confused as (
    select
        species_id,
        answered_id,
        observation_count
    from wrong_answers
    qualify row_number() over (partition by species_id order by observation_count desc, answered_id) = 1
)

select
    species_counts.species_id,
    species_counts.support,
    species_counts.predicted,
    species_counts.true_positives,
    species_counts.true_positives / nullif(species_counts.predicted, 0) as precision,
    species_counts.true_positives / nullif(species_counts.support, 0) as recall,
    -- what is in truth or answers is never 0 / 0
    2 * species_counts.true_positives / (species_counts.support + species_counts.predicted) as f1,
    coalesce(train_counts.train_count, 0) as train_count,
    most_confused.answered_id as confused_with,
    coalesce(most_confused.observation_count, 0) as confused_count
from species_counts
left join train_counts on species_counts.species_id = train_counts.species_id
left join most_confused on species_counts.species_id = most_confused.species_id
order by species_counts.species_id
