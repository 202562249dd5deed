-- How often each species' genus or family is seen, by the observations of training, with one more of each taxon.
-- grain: one row per species_id
-- tables: train_observations, known_taxa
-- params: none
with

species_counts as (
    select
        species_id,
        count(*) as observation_count
    from train_observations
    group by species_id
),

-- a species of which nobody says the taxon is one of its own; an id may read like the name of a taxon
members as (
    select
        known_taxa.species_id,
        known_taxa.taxon,
        case when known_taxa.taxon is null then known_taxa.species_id end as lone_species_id,
        coalesce(species_counts.observation_count, 0) as observation_count
    from known_taxa
    left join species_counts on known_taxa.species_id = species_counts.species_id
),

shares as (
    select
        taxon,
        lone_species_id,
        (sum(observation_count) + 1) / sum(sum(observation_count) + 1) over () as share
    from members
    group by taxon, lone_species_id
)

select
    members.species_id,
    shares.share as weight
from members
inner join shares
    on
        members.taxon is not distinct from shares.taxon
        and members.lone_species_id is not distinct from shares.lone_species_id
order by members.species_id
