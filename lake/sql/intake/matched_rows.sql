-- What a source says of each photograph, with the file that holds it or the reason why it is set aside.
-- grain: one row per row_number
-- tables: source_rows, source_files
-- params: $names_are_unique
with

named_files as (
    select
        *,
        case when $names_are_unique then parse_filename(file_name) else file_name end as match_name
    from source_files
),

-- of two members of an archive under one name the later one holds, as in unpacking
files_by_path as (
    select *
    from named_files
    qualify
        row_number() over (
            partition by file_name order by kind is not null, position desc nulls last, location
        ) = 1
),

-- files of one name in several folders are taken for copies only where they are of one size
files_by_name as (
    select
        *,
        count(distinct byte_count) over (partition by match_name) > 1 as is_ambiguous
    from files_by_path
    qualify row_number() over (partition by match_name order by kind is not null, file_name) = 1
),

numbered_rows as (
    select
        *,
        case when $names_are_unique then parse_filename(file_name) else file_name end as match_name,
        row_number() over (partition by image_name order by kind is not null, row_number) as mention
    from source_rows
),

-- one file cannot be told to be the photograph of two names
shared_names as (
    select match_name
    from numbered_rows
    where kind is null and mention = 1
    group by match_name
    having count(*) > 1
),

-- a path that fits as it is written needs no guess
candidates as (
    select
        numbered_rows.*,
        coalesce(by_path.location, by_name.location) as found_at,
        case when by_path.location is not null then by_path.byte_count else by_name.byte_count end as byte_count,
        case when by_path.location is not null then by_path.modified_ns else by_name.modified_ns end as modified_ns,
        case when by_path.location is not null then by_path.position else by_name.position end as position,
        case when by_path.location is not null then by_path.kind else by_name.kind end as file_kind,
        case when by_path.location is not null then by_path.detail else by_name.detail end as file_detail,
        by_path.location is null
        and by_name.location is not null
        and (by_name.is_ambiguous or shared_names.match_name is not null) as is_unsure
    from numbered_rows
    left join files_by_path as by_path on numbered_rows.file_name = by_path.file_name
    left join files_by_name as by_name on numbered_rows.match_name = by_name.match_name
    left join shared_names on numbered_rows.match_name = shared_names.match_name
),

matched as (
    select * replace (case when not is_unsure then found_at end as found_at)
    from candidates
)

select
    row_number,
    coalesce(image_name, 'row ' || row_number) as image_name,
    coalesce(observation_id, image_name) as observation_id,
    split_tag,
    organ,
    latitude,
    longitude,
    country_code,
    base_quadrat,
    transect,
    observed_on,
    license,
    author,
    extra,
    coalesce(found_at, url) as location,
    -- what lies on the web has no size and no time before it has been fetched
    case when found_at is null then -1 else coalesce(byte_count, -1) end as byte_count,
    case when found_at is null then -1 else coalesce(modified_ns, -1) end as modified_ns,
    case when found_at is not null then position end as position,
    case
        when kind is not null then kind
        when image_name is null then 'row_without_name'
        when mention > 1 then 'duplicate_name'
        when found_at is not null then file_kind
        when url is not null then null
        when is_unsure then 'ambiguous_name'
        else 'row_without_file'
    end as kind,
    case
        when kind is not null then detail
        when image_name is null then 'row ' || row_number || ' names no photograph'
        when mention > 1 then 'row ' || row_number || ' names the photograph once more'
        when found_at is not null then file_detail
        when url is not null then null
        when is_unsure
            then 'row ' || row_number || ': several rows or files share the name ' || match_name
        else 'row ' || row_number || ': there is no file ' || coalesce(file_name, 'and no address')
    end as detail
from matched
