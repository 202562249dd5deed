-- The scores as they were before they were changed.
-- grain: one row per (observation_id, species_id)
-- tables: scores_before
-- params: none
select
    observation_id,
    species_id,
    score,
    votes
from scores_before
