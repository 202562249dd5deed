-- The true species of the observations that are scored and hold exactly one.
-- grain: one row per observation_id
-- tables: current_labels, scope
-- params: none
select
    current_labels.observation_id,
    min(current_labels.species_id) as species_id
from current_labels
semi join scope on current_labels.observation_id = scope.observation_id
group by current_labels.observation_id
having count(*) = 1
order by current_labels.observation_id
