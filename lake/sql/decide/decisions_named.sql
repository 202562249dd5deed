-- The decisions whose id begins with some signs.
-- grain: one row per decision_id
-- tables: decisions
-- params: $beginning
select
    decision_id,
    dataset,
    model_version,
    scheme_id,
    split,
    rule_id,
    rule,
    unanswered
from decisions
where starts_with(decision_id, $beginning)
order by decision_id
