-- The sources of one data set or of all, each as it was read the last time.
-- grain: one row per (dataset, source_uri)
-- tables: ingest_sources
-- params: $dataset
select
    dataset,
    source_uri,
    format,
    options
from ingest_sources
where $dataset is null or dataset = $dataset
qualify row_number() over (partition by dataset, source_uri order by recorded_at desc, source_id) = 1
order by dataset, source_uri
