-- How many species the labelled observations of a data set hold, at most; 0 where nothing is labelled.
-- grain: one row
-- tables: current_labels
-- params: none
with

sizes as (
    select count(*) as species_count
    from current_labels
    group by observation_id
)

select coalesce(max(species_count), 0) as most_species
from sizes
