-- The official scores that hold: of each decision and metric the one that was entered last.
-- grain: one row per (decision_id, metric)
-- tables: official_scores
-- params: none
select
    decision_id,
    metric,
    arg_max(value, entered_at) as value,
    arg_max(source, entered_at) as source,
    max(entered_at) as entered_at
from official_scores
group by decision_id, metric
order by decision_id, metric
