-- Species that changes of the taxonomy would turn into themselves.
-- grain: one row per species_id
-- tables: current_changes
-- params: none
with recursive

-- union, not union all: what was reached before is not followed again, so that circles end
reached as (
    select
        old_species_id as species_id,
        new_species_id as reached_id
    from current_changes
    union
    select
        reached.species_id,
        current_changes.new_species_id as reached_id
    from reached
    inner join current_changes on reached.reached_id = current_changes.old_species_id
)

select species_id
from reached
where species_id = reached_id
order by species_id
