-- The scientific name of every species.
-- grain: one row per species_id
-- tables: species
-- params: none
select
    species_id,
    scientific_name
from species
