-- The venomous species, by their numbers.
-- grain: one row per species_id
-- tables: venomous_species, species_numbers
-- params: none
select species_numbers.number as species_id
from venomous_species
inner join species_numbers on venomous_species.species_id = species_numbers.species_id
