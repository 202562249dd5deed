-- The base quadrat of each observation of a scope: the same ground over several dates.
-- grain: one row per observation_id
-- tables: image_records, scope
-- params: $dataset
select
    image_records.observation_id,
    -- of several photographs that disagree the first by name counts
    arg_min(image_records.base_quadrat, image_records.image_name) as base_quadrat
from image_records
semi join scope on image_records.observation_id = scope.observation_id
where image_records.dataset = $dataset
group by image_records.observation_id
