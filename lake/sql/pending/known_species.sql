-- Every species that has been named.
-- grain: one row per species_id
-- tables: species
-- params: none
select species_id
from species
