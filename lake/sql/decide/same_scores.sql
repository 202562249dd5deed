-- The scores as they are, to be looked at again when they have changed.
-- grain: one row per (observation_id, species_id)
-- tables: scores
-- params: none
select
    observation_id,
    species_id,
    score,
    votes
from scores
