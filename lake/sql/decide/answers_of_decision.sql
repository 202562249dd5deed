-- What a decision answered.
-- grain: one row per (observation_id, species_id)
-- tables: observation_predictions
-- params: $decision_id
select
    observation_id,
    species_id,
    score,
    votes,
    rank,
    is_answer
from observation_predictions
where decision_id = $decision_id
order by observation_id, rank
