-- What each model version reached on each data set when it was last scored, in the metrics that models are judged by.
-- grain: one row per (model_version, dataset, split, metric)
-- tables: evaluations
-- params: none
select
    model_version,
    dataset,
    split,
    metric,
    value,
    ci_low,
    ci_high,
    observation_count,
    evaluated_at
from evaluations
where
    slice = 'all'
    and metric in ('macro_f1', 'accuracy', 'macro_f1_per_observation')
qualify
    row_number() over (
        partition by model_version, dataset, split, metric
        order by evaluated_at desc, evaluation_id
    ) = 1
order by dataset, split, metric, model_version
