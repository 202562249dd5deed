-- The photographs of a data set that are on record, with their content and their place in the data set.
-- grain: one row per image_name
-- tables: image_records
-- params: $dataset
select
    image_name,
    image_id,
    observation_id,
    split_tag
from image_records
where dataset = $dataset
