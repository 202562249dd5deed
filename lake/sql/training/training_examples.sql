-- The photographs that a single-label head may learn from or be validated on.
-- grain: one row per (image_id, observation_id)
-- tables: image_records, current_labels, splits, current_species
-- params: $dataset, $split_id
with

-- a quadrat says nothing about which of its species is where: it is no single-label example
single as (
    select
        observation_id,
        min(species_id) as species_id
    from current_labels
    group by observation_id
    having count(*) = 1
),

-- the source's tag speaks for observations that have no place in the split, as they have no label
photographs as (
    select distinct
        image_records.image_id,
        image_records.observation_id,
        coalesce(splits.split, image_records.split_tag, 'none') as split
    from image_records
    left join splits
        on
            image_records.observation_id = splits.observation_id
            and splits.split_id = $split_id
    where image_records.dataset = $dataset
),

-- bytes that are labelled as two species teach nothing
contradicted as (
    select photographs.image_id
    from photographs
    inner join single on photographs.observation_id = single.observation_id
    group by photographs.image_id
    having count(distinct single.species_id) > 1
),

countries as (
    select
        observation_id,
        min(country_code) as country_code
    from image_records
    where dataset = $dataset
    group by observation_id
),

-- the same bytes may stand under two names: what is held out anywhere is held out everywhere
strictest as (
    select
        image_id,
        max(case split when 'test' then 2 when 'val' then 1 else 0 end) as strictness
    from photographs
    group by image_id
)

select
    photographs.image_id,
    photographs.observation_id,
    single.species_id,
    -- a species that a change of the taxonomy brought in may have no name yet
    coalesce(current_species.scientific_name, single.species_id) as scientific_name,
    -- where nobody says the genus, a name of two words does
    coalesce(
        current_species.genus,
        -- no match gives an empty text, which would be one genus of all that have none
        nullif(regexp_extract(current_species.scientific_name, '^([A-Z][[:alpha:]-]+) [[:alpha:]]', 1), '')
    ) as genus,
    current_species.family,
    current_species.is_venomous,
    countries.country_code,
    splits.split
from photographs
inner join strictest on photographs.image_id = strictest.image_id
anti join contradicted on photographs.image_id = contradicted.image_id
inner join single on photographs.observation_id = single.observation_id
inner join splits
    on
        photographs.observation_id = splits.observation_id
        and splits.split_id = $split_id
left join current_species on single.species_id = current_species.species_id
left join countries on photographs.observation_id = countries.observation_id
where
    (splits.split = 'train' and strictest.strictness = 0)
    or (splits.split = 'val' and strictest.strictness = 1)
order by photographs.image_id, photographs.observation_id
