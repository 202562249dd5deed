-- What became of each species that the taxonomy has changed, over all changes: another species, or several.
-- grain: one row per species_id
-- tables: current_changes
-- params: none
with recursive

targets as (
    select
        old_species_id,
        -- of a split nobody can say which of the new species an old label means
        case when count(*) = 1 then min(new_species_id) end as new_species_id
    from current_changes
    group by old_species_id
),

steps as (
    select
        old_species_id as species_id,
        new_species_id,
        1 as depth
    from targets
    union all
    select
        steps.species_id,
        targets.new_species_id,
        steps.depth + 1 as depth
    from steps
    inner join targets on steps.new_species_id = targets.old_species_id
    -- a circle is refused when it is taken in; this keeps the question from running for ever
    where steps.depth < 100
)

select
    species_id,
    arg_max(struct_pack(accepted := new_species_id), depth).accepted as accepted_id
from steps
group by species_id
order by species_id
