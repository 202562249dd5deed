-- Every image content that the lake holds.
-- grain: one row per image_id
-- tables: images
-- params: none
select image_id
from images
