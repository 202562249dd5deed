-- Names that a source held and that are neither on record nor set aside.
-- grain: one row per image_name
-- tables: image_records, ingest_issues, found
-- params: $dataset
with

accounted as (
    select image_name
    from image_records
    where dataset = $dataset
    union
    select image_name
    from ingest_issues
    where dataset = $dataset
)

select found.image_name
from found
anti join accounted on found.image_name = accounted.image_name
