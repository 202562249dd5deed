-- Which of some cells of an ablation have been tried, and how they did.
-- grain: one row per cell_id
-- tables: ablations
-- params: $cell_ids
select
    cell_id,
    choices,
    refusal,
    observation_count,
    accuracy,
    macro_f1,
    ece,
    mlflow_run_id
from ablations
where list_contains($cell_ids, cell_id)
order by cell_id
