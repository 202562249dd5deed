-- Photographs that are kept and worth a look: the same bytes under another name, or under other species.
-- grain: one row per (image_name, kind)
-- tables: image_records, current_labels, ingest_issues
-- params: $dataset, $now
with

shared as (
    select
        image_name,
        image_id,
        observation_id,
        min(image_name) over (partition by image_id) as first_name,
        count(*) over (partition by image_id) as record_count
    from image_records
    where dataset = $dataset
    qualify record_count > 1
),

label_sets as (
    select
        observation_id,
        string_agg(species_id, ' + ' order by species_id) as species_ids
    from current_labels
    group by observation_id
),

contradictions as (
    select
        shared.image_id,
        list(distinct label_sets.species_ids order by label_sets.species_ids) as said
    from shared
    inner join label_sets on shared.observation_id = label_sets.observation_id
    group by shared.image_id
    having count(distinct label_sets.species_ids) > 1
),

notes as (
    select
        image_name,
        'duplicate_content' as kind,
        'the same bytes as ' || first_name as detail
    from shared
    where image_name != first_name
    union all
    select
        shared.image_name,
        'content_of_two_species' as kind,
        -- the picture that a portal shows for a missing one may stand under every species that there is
        'its bytes are labelled ' || array_to_string(contradictions.said[1:3], ' and ')
        || case when len(contradictions.said) > 3 then ' and ' || len(contradictions.said) - 3 || ' more' else '' end
            as detail
    from shared
    inner join contradictions on shared.image_id = contradictions.image_id
),

latest_issues as (
    select *
    from ingest_issues
    where dataset = $dataset
    qualify row_number() over (partition by image_name, kind order by last_seen_at desc) = 1
),

ended as (
    select
        latest_issues.image_name,
        latest_issues.kind,
        'no longer' as detail,
        0 as row_count
    from latest_issues
    anti join notes on latest_issues.image_name = notes.image_name and latest_issues.kind = notes.kind
    where
        latest_issues.row_count > 0
        and latest_issues.kind in ('duplicate_content', 'content_of_two_species')
),

said as (
    select
        image_name,
        kind,
        detail,
        1 as row_count
    from notes
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
    said.image_name,
    said.kind,
    said.detail,
    cast(said.row_count as bigint) as row_count,
    false as is_set_aside,
    true as is_on_record,
    cast(0 as integer) as attempts,
    coalesce(latest_issues.first_seen_at, $now) as first_seen_at,
    greatest($now, coalesce(newest.last_seen_at + interval 1 microsecond, $now)) as last_seen_at
from said
cross join newest
left join latest_issues on said.image_name = latest_issues.image_name and said.kind = latest_issues.kind
where latest_issues.detail is distinct from said.detail
order by said.image_name, said.kind
