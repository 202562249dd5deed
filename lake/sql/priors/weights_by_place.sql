-- How likely each species is in each place, by the observations of training, drawn towards all places together.
-- grain: one row per (place, species_id)
-- tables: train_places, known_species
-- params: $shrinkage
with

species_counts as (
    select
        species_id,
        count(*) as observation_count
    from train_places
    group by species_id
),

-- one more of each, so that no species that is known is impossible
anywhere as (
    select
        known_species.species_id,
        (coalesce(species_counts.observation_count, 0) + 1)
        / sum(coalesce(species_counts.observation_count, 0) + 1) over () as share
    from known_species
    left join species_counts on known_species.species_id = species_counts.species_id
),

place_sizes as (
    select
        place,
        count(*) as observation_count
    from train_places
    where place is not null
    group by place
),

place_counts as (
    select
        place,
        species_id,
        count(*) as observation_count
    from train_places
    where place is not null
    group by place, species_id
)

select
    place_sizes.place,
    anywhere.species_id,
    (coalesce(place_counts.observation_count, 0) + $shrinkage * anywhere.share)
    / (place_sizes.observation_count + $shrinkage) as weight
from place_sizes
cross join anywhere
left join place_counts on place_sizes.place = place_counts.place and anywhere.species_id = place_counts.species_id
order by place_sizes.place, anywhere.species_id
