-- How a source of a data set was read the last time.
-- grain: one row per source_uri
-- tables: ingest_sources
-- params: $dataset, $source_uri
select
    source_id,
    recorded_at
from ingest_sources
where dataset = $dataset and source_uri = $source_uri
order by recorded_at desc
limit 1
