-- The split tag that the source gave each observation of a data set; null where it gave none.
-- grain: one row per observation_id
-- tables: image_records
-- params: $dataset
select
    observation_id,
    -- an observation whose photographs carry different tags is as held out as its strictest one
    case max(case split_tag when 'test' then 2 when 'val' then 1 when 'train' then 0 end)
        when 2 then 'test'
        when 1 then 'val'
        when 0 then 'train'
    end as tag
from image_records
where dataset = $dataset
group by observation_id
order by observation_id
