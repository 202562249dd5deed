-- Which species were taken for which others, most often first, with the observation where it was done most surely.
-- grain: one row per (species_id, answered_id)
-- tables: truth, answers
-- params: $most
select
    truth.species_id,
    answers.species_id as answered_id,
    count(*) as observation_count,
    arg_min(truth.observation_id, (-answers.probability, truth.observation_id)) as example_observation_id
from truth
inner join answers on truth.observation_id = answers.observation_id
where truth.species_id != answers.species_id
group by truth.species_id, answers.species_id
order by observation_count desc, truth.species_id, answered_id
limit $most
