-- Records of a data set whose image content is not in the lake.
-- grain: one row per image_name
-- tables: image_records, images
-- params: $dataset
select
    image_records.image_name,
    image_records.image_id
from image_records
anti join images on image_records.image_id = images.image_id
where image_records.dataset = $dataset
