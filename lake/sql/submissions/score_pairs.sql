-- Official scores beside what the same rule and model scored where the truth is known: the proxies.
-- grain: one row per (dataset, split, metric, official_metric, decision_id)
-- tables: evaluations, decisions, current_scores
-- params: none
with

proxies as (
    select
        decisions.rule_id,
        decisions.model_version,
        decisions.scheme_id,
        evaluations.dataset,
        evaluations.split,
        evaluations.metric,
        evaluations.value,
        evaluations.evaluated_at,
        evaluations.evaluation_id
    from evaluations
    inner join decisions on evaluations.decision_id = decisions.decision_id
    where evaluations.slice = 'all'
),

submitted as (
    select
        decisions.rule_id,
        decisions.model_version,
        decisions.scheme_id,
        current_scores.decision_id,
        current_scores.metric,
        current_scores.value
    from current_scores
    inner join decisions on current_scores.decision_id = decisions.decision_id
)

select
    proxies.dataset,
    proxies.split,
    proxies.metric,
    submitted.metric as official_metric,
    submitted.decision_id,
    proxies.value as proxy_value,
    submitted.value as official_value
from submitted
inner join proxies on submitted.rule_id = proxies.rule_id and submitted.model_version = proxies.model_version
-- of several, the one on tiles cut alike, then the latest
qualify
    row_number() over (
        partition by proxies.dataset, proxies.split, proxies.metric, submitted.metric, submitted.decision_id
        order by
            submitted.scheme_id = proxies.scheme_id desc, proxies.evaluated_at desc, proxies.evaluation_id desc
    ) = 1
order by
    official_metric, proxies.dataset, proxies.split, proxies.metric, official_value desc, submitted.decision_id
