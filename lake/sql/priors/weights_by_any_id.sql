-- Weights by today's ids, and by those that were renamed or merged into them: a model says the ids that it has learnt.
-- grain: one row per (place, species_id)
-- tables: weights, accepted_species
-- params: none
with

former as (
    select
        weights.place,
        accepted_species.species_id,
        weights.weight
    from weights
    inner join accepted_species on weights.species_id = accepted_species.accepted_id
)

select
    place,
    species_id,
    weight
from weights
union all
select
    place,
    species_id,
    weight
from former
order by place, species_id
