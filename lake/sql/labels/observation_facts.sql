-- Where and when each observation of a data set was seen, and which organ it shows, as far as its records say.
-- grain: one row per observation_id
-- tables: image_records
-- params: $dataset
with

known as (
    select
        observation_id,
        min(country_code) as country_code,
        cast(month(min(observed_on)) as integer) as month,
        min(transect) as transect,
        min(base_quadrat) as base_quadrat,
        -- who was photographed as leaf and as flower is a case of neither
        case when count(distinct organ) = 1 then min(organ) end as organ
    from image_records
    where dataset = $dataset
    group by observation_id
)

select
    observation_id,
    country_code,
    month,
    coalesce(transect, base_quadrat) as site,
    transect,
    base_quadrat,
    organ
from known
order by observation_id
