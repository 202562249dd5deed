-- The weights of species in priors, by their numbers.
-- grain: one row per (prior_id, place, species_id)
-- tables: priors, species_numbers
-- params: none
select
    priors.prior_id,
    priors.place,
    -- a species that nobody has predicted still counts among the likeliest and the unlikeliest of its place
    coalesce(species_numbers.number, -row_number() over (order by priors.prior_id, priors.place, priors.species_id))
        as species_id,
    priors.weight
from priors
left join species_numbers on priors.species_id = species_numbers.species_id
