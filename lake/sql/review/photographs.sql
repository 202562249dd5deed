-- The photographs of the observations of the queue.
-- grain: one row per (observation_id, image_id)
-- tables: queue, image_records
-- params: $dataset
with

asked as (
    select distinct observation_id
    from queue
)

select
    image_records.observation_id,
    image_records.image_id,
    min(image_records.image_name) as image_name
from image_records
semi join asked on image_records.observation_id = asked.observation_id
where image_records.dataset = $dataset
group by image_records.observation_id, image_records.image_id
order by image_records.observation_id, image_name, image_records.image_id
