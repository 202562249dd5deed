-- How many labelled observations of a data set hold one species, and how many hold several.
-- grain: one row
-- tables: current_labels
-- params: none
with

sizes as (
    select count(*) as species_count
    from current_labels
    group by observation_id
)

select
    count(*) filter (where species_count = 1) as with_one,
    count(*) filter (where species_count > 1) as with_several
from sizes
