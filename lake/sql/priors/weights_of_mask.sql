-- Whether each species has a training record in a region: 1 if it has, or if nobody says where it was seen, else 0.
-- grain: one row per species_id
-- tables: image_records, train_observations, known_species
-- params: $dataset, $min_latitude, $min_longitude, $max_latitude, $max_longitude, $country_codes, $keep_unplaced
with

-- a record says where it is only by what the region is told by
records as (
    select
        train_observations.species_id,
        $min_latitude is not null and image_records.latitude is not null and image_records.longitude is not null
            as is_on_map,
        image_records.latitude between $min_latitude and $max_latitude
        and image_records.longitude between $min_longitude and $max_longitude as is_in_box,
        len($country_codes) > 0 and image_records.country_code is not null as is_in_country,
        list_contains($country_codes, image_records.country_code) as is_in_countries
    from image_records
    inner join train_observations on image_records.observation_id = train_observations.observation_id
    where image_records.dataset = $dataset
),

seen as (
    select
        species_id,
        bool_or(coalesce(is_in_box, false) or coalesce(is_in_countries, false)) as is_inside
    from records
    where is_on_map or is_in_country
    group by species_id
)

select
    known_species.species_id,
    cast(coalesce(seen.is_inside, $keep_unplaced) as double) as weight
from known_species
left join seen on known_species.species_id = seen.species_id
order by known_species.species_id
