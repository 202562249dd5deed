-- The scores that a prior has weighed.
-- grain: one row per (observation_id, species_id)
-- tables: scores_after
-- params: none
select
    observation_id,
    species_id,
    score,
    votes
from scores_after
