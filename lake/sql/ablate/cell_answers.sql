-- What some cells of an ablation answered to the observations that they were validated on.
-- grain: one row per (cell_id, observation_id)
-- tables: ablation_answers
-- params: $cell_ids
select
    cell_id,
    observation_id,
    is_right
from ablation_answers
where list_contains($cell_ids, cell_id)
order by cell_id, observation_id
