-- The true species of the observations that are scored.
-- grain: one row per (observation_id, species_id)
-- tables: current_labels, scope
-- params: none
select
    current_labels.observation_id,
    current_labels.species_id
from current_labels
semi join scope on current_labels.observation_id = scope.observation_id
order by current_labels.observation_id, current_labels.species_id
