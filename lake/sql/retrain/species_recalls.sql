-- How much of each species an evaluation found, and how many observations held it.
-- grain: one row per species_id
-- tables: evaluations
-- params: $evaluation_id
select
    substr(slice, len('species:') + 1) as species_id,
    value as recall,
    observation_count as support
from evaluations
where evaluation_id = $evaluation_id and metric = 'recall' and starts_with(slice, 'species:')
order by species_id
