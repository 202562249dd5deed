-- A number for each observation, in the order of their ids: joins and ties go by it, and are faster than by the ids.
-- grain: one row per observation_id
-- tables: scope
-- params: none
select
    observation_id,
    cast(row_number() over (order by observation_id) - 1 as integer) as number
from scope
order by number
