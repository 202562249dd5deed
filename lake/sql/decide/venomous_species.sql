-- The species known to be venomous.
-- grain: one row per species_id
-- tables: species
-- params: none
select species_id
from species
where is_venomous is not null
group by species_id
-- the latest word holds
having arg_max(is_venomous, (recorded_at, source))
