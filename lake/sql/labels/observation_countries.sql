-- Where each observation of a data set is from, as far as its records say.
-- grain: one row per observation_id
-- tables: image_records
-- params: $dataset
select
    observation_id,
    min(country_code) as country_code
from image_records
where dataset = $dataset
group by observation_id
order by observation_id
