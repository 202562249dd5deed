-- The photographs of one observation.
-- grain: one row per image_id
-- tables: image_records
-- params: $dataset, $observation_id
select
    image_id,
    min(image_name) as image_name
from image_records
where dataset = $dataset and observation_id = $observation_id
group by image_id
order by image_name
