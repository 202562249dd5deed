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
first_files as (
    select *
    from named_files
    qualify
        row_number() over (
            partition by match_name order by kind is not null, file_name, position desc nulls last, location
        ) = 1
),

numbered_rows as (
    select
        *,
        case when $names_are_unique then parse_filename(file_name) else file_name end as match_name,
        row_number() over (partition by image_name order by kind is not null, row_number) as mention
    from source_rows
)

select
    numbered_rows.row_number,
    coalesce(numbered_rows.image_name, 'row ' || numbered_rows.row_number) as image_name,
    coalesce(numbered_rows.observation_id, numbered_rows.image_name) as observation_id,
    numbered_rows.split_tag,
    numbered_rows.organ,
    numbered_rows.latitude,
    numbered_rows.longitude,
    numbered_rows.country_code,
    numbered_rows.base_quadrat,
    numbered_rows.transect,
    numbered_rows.observed_on,
    numbered_rows.license,
    numbered_rows.author,
    numbered_rows.extra,
    coalesce(first_files.location, numbered_rows.url) as location,
    -- what lies on the web has no size and no time before it has been fetched
    coalesce(first_files.byte_count, -1) as byte_count,
    coalesce(first_files.modified_ns, -1) as modified_ns,
    first_files.position,
    case
        when numbered_rows.kind is not null then numbered_rows.kind
        when numbered_rows.image_name is null then 'row_without_name'
        when numbered_rows.mention > 1 then 'duplicate_name'
        when first_files.kind is not null then first_files.kind
        when first_files.location is null and numbered_rows.url is null then 'row_without_file'
    end as kind,
    case
        when numbered_rows.kind is not null then numbered_rows.detail
        when numbered_rows.image_name is null then 'row ' || numbered_rows.row_number || ' names no photograph'
        when numbered_rows.mention > 1
            then 'row ' || numbered_rows.row_number || ' names the photograph once more'
        when first_files.kind is not null then first_files.detail
        when first_files.location is null and numbered_rows.url is null
            then
                'row ' || numbered_rows.row_number || ': there is no file '
                || coalesce(numbered_rows.file_name, 'and no address')
    end as detail
from numbered_rows
left join first_files on numbered_rows.match_name = first_files.match_name
