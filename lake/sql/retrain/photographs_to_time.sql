-- A few photographs of what is scored, the same ones each time.
-- grain: one row per image_id
-- tables: image_records, scope
-- params: $dataset, $most
select distinct image_records.image_id
from image_records
semi join scope on image_records.observation_id = scope.observation_id
where image_records.dataset = $dataset
order by image_records.image_id
limit $most
