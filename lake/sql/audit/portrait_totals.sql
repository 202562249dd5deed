-- How much a data set holds.
-- grain: one row
-- tables: image_records, current_labels
-- params: $dataset
select
    count(*) as photographs,
    count(distinct observation_id) as observations,
    (select count(distinct species_id) from current_labels) as species,
    (select count(distinct observation_id) from current_labels) as labelled
from image_records
where dataset = $dataset
