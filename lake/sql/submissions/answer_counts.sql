-- How many species each observation is answered with, that is none for one without an answer.
-- grain: one row per observation_id
-- tables: expected_observations, answers
-- params: none
select
    expected_observations.observation_id,
    count(answers.species_id) as answer_count
from expected_observations
left join answers on expected_observations.observation_id = answers.observation_id
group by expected_observations.observation_id
order by expected_observations.observation_id
