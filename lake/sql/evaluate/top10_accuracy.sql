-- How often the true species is among the ten best candidates.
-- grain: one row per metric
-- tables: truth, answers
-- params: none
select
    'top10_accuracy' as metric,
    -- an observation without an answer is a miss, never left out
    avg(case when answers.rank <= 10 then 1.0 else 0.0 end) as value
from truth
left join answers
    on truth.observation_id = answers.observation_id and truth.species_id = answers.species_id
