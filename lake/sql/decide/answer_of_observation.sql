-- The species that a decision found in one observation, best first.
-- grain: one row per species_id
-- tables: observation_predictions
-- params: $decision_id, $observation_id
select
    species_id,
    score,
    votes
from observation_predictions
where decision_id = $decision_id and observation_id = $observation_id and is_answer
order by rank
