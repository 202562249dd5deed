-- What answers of the same sizes, drawn blindly from the species that a model knows, would score.
-- grain: one row per metric
-- tables: truth, answers
-- params: $species_count
with

true_sizes as (
    select
        observation_id,
        count(*) as true_count
    from truth
    group by observation_id
),

answer_sizes as (
    select
        observation_id,
        count(*) as answer_count
    from answers
    where is_answer
    group by observation_id
),

sizes as (
    select
        true_sizes.true_count,
        coalesce(answer_sizes.answer_count, 0) as answer_count
    from true_sizes
    left join answer_sizes on true_sizes.observation_id = answer_sizes.observation_id
)

select
    'accuracy' as metric,
    1.0 / $species_count as value
union all
select
    'top5_accuracy' as metric,
    least(1.0, 5.0 / $species_count) as value
union all
-- n true and m answered species of C share n m / C in the mean
-- added in one order: threads add in any, and the last digit of a sum hangs on it
select
    'macro_f1_per_observation' as metric,
    avg(
        2.0 * true_count * answer_count / $species_count / (true_count + answer_count)
        order by true_count, answer_count
    ) as value
from sizes
union all
select
    'micro_f1' as metric,
    2.0 * sum(true_count * answer_count) / $species_count / sum(true_count + answer_count) as value
from sizes
