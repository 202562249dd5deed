-- Where the photographs of a data set were taken, as far as it says so.
-- grain: one row per (dataset, image_name)
-- tables: image_records
-- params: $dataset
select
    latitude,
    longitude
from image_records
where dataset = $dataset and latitude is not null and longitude is not null
order by image_name
