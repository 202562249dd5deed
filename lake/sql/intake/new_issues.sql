-- What is set aside and is not on record as it stands now, and, with no rows, what no longer is.
-- grain: one row per (image_name, kind)
-- tables: outcomes, source_species, ingest_issues
-- params: $dataset, $source_uri, $now
with

lost as (
    select *
    from outcomes
    where outcome = 'set_aside'
),

-- of a photograph that is named twice the first row comes on record now
kept as (
    select distinct image_name
    from outcomes
    where outcome in ('new', 'known')
),

species_lists as (
    select
        lost.image_name,
        lost.kind,
        list(distinct source_species.species_id order by source_species.species_id) as species_ids
    from lost
    inner join source_species on lost.row_number = source_species.row_number
    group by lost.image_name, lost.kind
),

found as (
    select
        lost.image_name,
        lost.kind,
        first(lost.detail order by lost.row_number nulls last, lost.location) as detail,
        count(*) as row_count,
        bool_or(lost.is_on_record or kept.image_name is not null) as is_on_record,
        max(lost.attempts) as attempts
    from lost
    left join kept on lost.image_name = kept.image_name
    group by lost.image_name, lost.kind
),

latest_issues as (
    select *
    from ingest_issues
    -- as with labels: each source is held against its own last word
    where dataset = $dataset and source_uri = $source_uri and is_set_aside
    qualify row_number() over (partition by image_name, kind order by last_seen_at desc) = 1
),

-- mended, or gone from the source
ended as (
    select
        latest_issues.image_name,
        latest_issues.kind,
        'no longer' as detail,
        0 as row_count,
        latest_issues.is_on_record or kept.image_name is not null as is_on_record,
        latest_issues.attempts
    from latest_issues
    anti join found on latest_issues.image_name = found.image_name and latest_issues.kind = found.kind
    left join kept on latest_issues.image_name = kept.image_name
    where latest_issues.row_count > 0
),

issues as (
    select *
    from found
    union all
    select *
    from ended
),

newest as (
    select max(last_seen_at) as last_seen_at
    from ingest_issues
    where dataset = $dataset
)

select
    issues.image_name,
    issues.kind,
    issues.detail,
    cast(issues.row_count as bigint) as row_count,
    true as is_set_aside,
    issues.is_on_record,
    species_lists.species_ids,
    cast(issues.attempts as integer) as attempts,
    coalesce(latest_issues.first_seen_at, $now) as first_seen_at,
    -- later than all that was seen before, whatever the clock says
    greatest($now, coalesce(newest.last_seen_at + interval 1 microsecond, $now)) as last_seen_at
from issues
cross join newest
left join species_lists on issues.image_name = species_lists.image_name and issues.kind = species_lists.kind
left join latest_issues on issues.image_name = latest_issues.image_name and issues.kind = latest_issues.kind
where
    latest_issues.kind is null
    or latest_issues.detail != issues.detail
    or latest_issues.row_count != issues.row_count
    or latest_issues.attempts != issues.attempts
    -- what was mended and is broken again in the same way
    or latest_issues.is_on_record != issues.is_on_record
order by issues.image_name, issues.kind
