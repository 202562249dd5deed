-- A species for each observation, drawn blindly from those that training knows, and alike whenever it is drawn again.
-- grain: one row per observation_id
-- tables: train_observations, asked_observations
-- params: $seed
with

known_species as (
    select distinct species_id
    from train_observations
),

classes as (
    select
        species_id,
        row_number() over (order by species_id) - 1 as place
    from known_species
),

-- a hash of its own id, so that the draw does not depend on the company in which an observation is asked
draws as (
    select
        observation_id,
        md5_number_lower(concat($seed, ':', observation_id)) % (select count(*) from classes) as place
    from asked_observations
)

select
    draws.observation_id,
    classes.species_id
from draws
inner join classes on draws.place = classes.place
order by draws.observation_id
