-- What was decided about retraining, the latest first.
-- grain: one row per retrain_id
-- tables: retrain_decisions
-- params: $most
select
    decided_at,
    dataset,
    model,
    decision,
    reason,
    champion,
    challenger,
    metric,
    champion_score,
    challenger_score
from retrain_decisions
order by decided_at desc, retrain_id
limit $most
