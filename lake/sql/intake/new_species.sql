-- The species of which a source says something else than it said last.
-- grain: one row per species_id
-- tables: outcomes, source_species, species
-- params: $source_uri, $now
with

present as (
    select distinct observation_id
    from outcomes
    where outcome in ('new', 'known') and observation_id is not null
),

rows_of_present as (
    select outcomes.row_number
    from outcomes
    semi join present on outcomes.observation_id = present.observation_id
),

said as (
    select source_species.*
    from source_species
    left join rows_of_present on source_species.row_number = rows_of_present.row_number
    where source_species.row_number is null or rows_of_present.row_number is not null
),

-- the name that most rows give stands; names differ within real sources (7,855 for 7,806 ids in PlantCLEF 2024)
names as (
    select
        species_id,
        scientific_name,
        count(*) as row_count
    from said
    where scientific_name is not null
    group by species_id, scientific_name
    qualify row_number() over (partition by species_id order by row_count desc, scientific_name) = 1
),

facts as (
    select
        said.species_id,
        any_value(names.scientific_name) as scientific_name,
        min(said.genus) as genus,
        min(said.family) as family,
        bool_or(said.is_venomous) as is_venomous,
        min(said.gbif_id) as gbif_id
    from said
    left join names on said.species_id = names.species_id
    -- genus and family are those of the rows that give the name
    where said.scientific_name is not distinct from names.scientific_name or said.scientific_name is null
    group by said.species_id
),

own_words as (
    select *
    from species
    where source = $source_uri
    qualify row_number() over (partition by species_id order by recorded_at desc) = 1
),

newest as (
    select max(recorded_at) as recorded_at
    from species
)

select
    facts.species_id,
    facts.scientific_name,
    facts.genus,
    facts.family,
    facts.is_venomous,
    facts.gbif_id,
    -- later than all that was said before, whatever the clock says
    greatest($now, coalesce(newest.recorded_at + interval 1 microsecond, $now)) as recorded_at
from facts
cross join newest
left join own_words on facts.species_id = own_words.species_id
where
    own_words.species_id is null
    or (facts.scientific_name, facts.genus, facts.family, facts.is_venomous, facts.gbif_id)
    is distinct from
    (own_words.scientific_name, own_words.genus, own_words.family, own_words.is_venomous, own_words.gbif_id)
order by facts.species_id
