-- The changes of the taxonomy that hold: of each species the latest word on what became of it.
-- grain: one row per (old_species_id, new_species_id)
-- tables: taxon_changes
-- params: none
select
    old_species_id,
    new_species_id,
    kind
from taxon_changes
qualify recorded_at = max(recorded_at) over (partition by old_species_id)
order by old_species_id, new_species_id
