-- What has been set aside of a data set before.
-- grain: one row per (image_name, kind)
-- tables: ingest_issues
-- params: $dataset
select
    image_name,
    kind
from ingest_issues
where dataset = $dataset
