-- Why a retraining was decided as it was.
-- grain: one row per retrain_id
-- tables: retrain_decisions
-- params: $retrain_id
select reason
from retrain_decisions
where retrain_id = $retrain_id
