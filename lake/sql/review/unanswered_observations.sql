-- The observations in which no species was found.
-- grain: one row per observation_id
-- tables: scope, answers
-- params: none
with

answered as (
    select distinct observation_id
    from answers
    where is_answer
)

select
    scope.observation_id,
    'unanswered' as reason,
    cast(1 as double) as weight,
    'no species was found' as detail
from scope
anti join answered on scope.observation_id = answered.observation_id
order by scope.observation_id
