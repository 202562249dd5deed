-- The class maps of all models that were ever trained or brought here.
-- grain: one row per class_map_id
-- tables: class_maps
-- params: none
select distinct class_map_id
from class_maps
order by class_map_id
