-- How far each proxy orders the decisions as each official metric does: Spearman's correlation, null without order.
-- grain: one row per (dataset, split, metric, official_metric)
-- tables: score_pairs
-- params: none
with

-- those that tie share the mean of their ranks
ranked as (
    select
        dataset,
        split,
        metric,
        official_metric,
        rank() over (partition by dataset, split, metric, official_metric order by proxy_value)
        + (count(*) over (partition by dataset, split, metric, official_metric, proxy_value) - 1) / 2 as x,
        rank() over (partition by dataset, split, metric, official_metric order by official_value)
        + (count(*) over (partition by dataset, split, metric, official_metric, official_value) - 1) / 2 as y
    from score_pairs
),

-- sums of halves and quarters are exact, so that no correlation is not a little less than none
sums as (
    select
        dataset,
        split,
        metric,
        official_metric,
        count(*) as decision_count,
        count(*) * sum(x * y) - sum(x) * sum(y) as xy,
        count(*) * sum(x * x) - sum(x) * sum(x) as xx,
        count(*) * sum(y * y) - sum(y) * sum(y) as yy
    from ranked
    group by dataset, split, metric, official_metric
)

select
    dataset,
    split,
    metric,
    official_metric,
    decision_count,
    xy / nullif(sqrt(xx * yy), 0) as spearman
from sums
order by official_metric, dataset, split, metric
