-- The photographs of a data set that are on record, with their content.
-- grain: one row per image_name
-- tables: image_records
-- params: $dataset
select
    image_name,
    image_id
from image_records
where dataset = $dataset
