-- Where observations belong for priors, by their numbers.
-- grain: one row per (prior_id, observation_id)
-- tables: prior_places, observation_numbers
-- params: $dataset
select
    prior_places.prior_id,
    prior_places.dataset,
    observation_numbers.number as observation_id,
    prior_places.place
from prior_places
inner join observation_numbers on prior_places.observation_id = observation_numbers.observation_id
where prior_places.dataset = $dataset
