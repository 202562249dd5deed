-- The observations of training that show a species known to be venomous.
-- grain: one row per observation_id
-- tables: train_observations, current_species
-- params: none
select
    train_observations.observation_id,
    train_observations.species_id,
    train_observations.country_code
from train_observations
inner join current_species on train_observations.species_id = current_species.species_id
where current_species.is_venomous
order by train_observations.observation_id
