-- The photographs of a data set and whose they are, in an order that has nothing to do with who came first.
-- grain: one row per image_id
-- tables: image_records
-- params: $dataset
select
    image_id,
    min(observation_id) as observation_id
from image_records
where dataset = $dataset
group by image_id
order by image_id
