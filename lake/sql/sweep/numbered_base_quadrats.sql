-- The base quadrat of each observation, by its number.
-- grain: one row per observation_id
-- tables: base_quadrats, observation_numbers
-- params: none
select
    observation_numbers.number as observation_id,
    base_quadrats.base_quadrat
from base_quadrats
inner join observation_numbers on base_quadrats.observation_id = observation_numbers.observation_id
