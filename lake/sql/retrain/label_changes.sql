-- What training would learn from now against what was learnt: observations that came, changed and went, new species.
-- grain: one row
-- tables: learnt, offered
-- params: none
with

-- an observation may stand there with several photographs
before as (
    select distinct
        observation_id,
        species_id
    from learnt
),

now as (
    select distinct
        observation_id,
        species_id
    from offered
),

pairs as (
    select
        before.species_id as old_species_id,
        now.species_id as new_species_id
    from before
    full outer join now on before.observation_id = now.observation_id
),

new_species as (
    select species_id
    from now
    anti join before on now.species_id = before.species_id
    group by species_id
)

select
    count(*) filter (where old_species_id is null) as new_observations,
    count(*) filter (where old_species_id != new_species_id) as relabelled,
    count(*) filter (where new_species_id is null) as withdrawn,
    (select coalesce(list(species_id order by species_id), []) from new_species) as new_species
from pairs
