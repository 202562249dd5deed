-- A number for each species that is predicted or true, in the order of their ids, and that of its name of today.
-- grain: one row per species_id
-- tables: tile_predictions, truth, accepted_species
-- params: $model_version
with

known as (
    select distinct species_id
    from tile_predictions
    where model_version = $model_version
    union
    select species_id
    from truth
    union
    select accepted_id as species_id
    from accepted_species
),

numbered as (
    select
        species_id,
        cast(row_number() over (order by species_id) - 1 as integer) as number
    from known
)

select
    numbered.species_id,
    numbered.number,
    coalesce(accepted.number, numbered.number) as accepted_number
from numbered
left join accepted_species on numbered.species_id = accepted_species.species_id
left join numbered as accepted on accepted_species.accepted_id = accepted.species_id
order by numbered.number
