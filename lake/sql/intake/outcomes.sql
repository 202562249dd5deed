-- What becomes of each row of a source, and of each photograph that no row names.
-- grain: one row per row or file
-- tables: matched_rows, source_files, files_to_read, file_reads, image_records, ingest_issues
-- params: $dataset, $source_uri
with

-- what is about to be read again is not yet what it was the last time
latest_reads as (
    select file_reads.*
    from file_reads
    left join files_to_read
        on
            file_reads.location = files_to_read.location
            and file_reads.byte_count = files_to_read.byte_count
            and file_reads.modified_ns = files_to_read.modified_ns
    where files_to_read.attempt is null or file_reads.attempt >= files_to_read.attempt
    qualify
        row_number() over (
            partition by file_reads.location, file_reads.byte_count, file_reads.modified_ns
            order by file_reads.attempt desc
        ) = 1
),

records as (
    select
        image_name,
        image_id,
        observation_id,
        split_tag,
        source_uri
    from image_records
    where dataset = $dataset
),

-- one file may be on record under several names
located as (
    select distinct source_uri
    from records
),

-- of this source: `row 3` is another row in another table
known_issues as (
    select distinct
        image_name,
        kind
    from ingest_issues
    where dataset = $dataset and source_uri = $source_uri
),

read_rows as (
    select
        matched_rows.row_number,
        matched_rows.image_name,
        matched_rows.observation_id,
        matched_rows.location,
        latest_reads.image_id,
        coalesce(latest_reads.attempt, 0) as attempts,
        records.image_id is not null as is_on_record,
        case
            when matched_rows.kind is not null then matched_rows.kind
            when latest_reads.kind is not null then latest_reads.kind
            when latest_reads.image_id is null then null
            when records.image_id != latest_reads.image_id then 'name_with_other_content'
            when records.observation_id != matched_rows.observation_id then 'record_changed'
            when records.image_id is null then null
            when coalesce(records.split_tag, '') != coalesce(matched_rows.split_tag, '') then 'record_changed'
        end as kind,
        case
            when matched_rows.kind is not null then matched_rows.detail
            when latest_reads.kind is not null then latest_reads.detail
            when latest_reads.image_id is null then null
            when records.image_id != latest_reads.image_id
                then 'the name is known with other bytes (' || left(records.image_id, 12) || ')'
            when records.observation_id != matched_rows.observation_id
                then
                    'its observation is ' || records.observation_id || ' on record and ' || matched_rows.observation_id
                    || ' here; take it in as another data set to change that'
            when records.image_id is null then null
            when coalesce(records.split_tag, '') != coalesce(matched_rows.split_tag, '')
                then
                    'its split is ' || coalesce(records.split_tag, 'none') || ' on record and '
                    || coalesce(matched_rows.split_tag, 'none')
                    || ' here; take it in as another data set to change that'
        end as detail
    from matched_rows
    left join latest_reads
        on
            matched_rows.kind is null
            and matched_rows.location = latest_reads.location
            and matched_rows.byte_count = latest_reads.byte_count
            and matched_rows.modified_ns = latest_reads.modified_ns
    left join records on matched_rows.image_name = records.image_name
),

-- a file that another table of the data set has named is no file without a row; nor is the earlier of two members of
-- an archive under one name, which lies in the same place; what is fetched from an address has no size and is no file
unnamed_files as (
    select
        source_files.file_name as image_name,
        source_files.location,
        located.source_uri is not null as is_on_record,
        case
            when located.source_uri is null then coalesce(source_files.kind, 'file_without_row')
        end as kind,
        coalesce(source_files.detail, 'no row names it') as detail
    from source_files
    anti join matched_rows
        on source_files.location = matched_rows.location and matched_rows.byte_count is distinct from -1
    left join located on source_files.location = located.source_uri
    where source_files.is_image or source_files.kind is not null
),

found as (
    select
        row_number,
        image_name,
        observation_id,
        location,
        image_id,
        attempts,
        is_on_record,
        kind,
        detail,
        case
            when kind is not null then 'set_aside'
            when image_id is null then 'unread'
            when is_on_record then 'known'
            else 'new'
        end as outcome
    from read_rows
    union all
    select
        null as row_number,
        image_name,
        null as observation_id,
        location,
        null as image_id,
        0 as attempts,
        is_on_record,
        kind,
        case when kind is not null then detail end as detail,
        case when kind is not null then 'set_aside' else 'known' end as outcome
    from unnamed_files
)

select
    found.*,
    known_issues.kind is not null as is_known_issue
from found
left join known_issues on found.image_name = known_issues.image_name and found.kind = known_issues.kind
