-- Scores by the numbers of observations and species.
-- grain: one row per (observation_id, species_id)
-- tables: scores, observation_numbers, species_numbers
-- params: none
select
    observation_numbers.number as observation_id,
    species_numbers.number as species_id,
    scores.score,
    scores.votes
from scores
inner join observation_numbers on scores.observation_id = observation_numbers.observation_id
inner join species_numbers on scores.species_id = species_numbers.species_id
