-- For each observation the species that training saw most often in its country, else one for all.
-- grain: one row per observation_id
-- tables: asked_observations, most_frequent_species
-- params: $fallback
select
    asked_observations.observation_id,
    coalesce(most_frequent_species.species_id, $fallback) as species_id
from asked_observations
left join most_frequent_species on asked_observations.country_code = most_frequent_species.country_code
order by asked_observations.observation_id
