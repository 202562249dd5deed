-- Some of what is set aside, of each reason, with the file where there is one.
-- grain: one row per row or file
-- tables: outcomes, matched_rows, source_files
-- params: $most
with

chosen as (
    select *
    from outcomes
    where outcome = 'set_aside'
    qualify row_number() over (partition by kind order by location is null, image_name, row_number) <= $most
),

-- two members of an archive under one name lie in one place
located_files as (
    select *
    from source_files
    qualify row_number() over (partition by location order by position desc nulls last) = 1
)

select
    chosen.image_name,
    chosen.kind,
    coalesce(chosen.detail, '') as detail,
    chosen.location,
    coalesce(matched_rows.byte_count, located_files.byte_count) as byte_count,
    coalesce(matched_rows.modified_ns, located_files.modified_ns) as modified_ns,
    coalesce(matched_rows.position, located_files.position) as position
from chosen
left join matched_rows on chosen.row_number = matched_rows.row_number
left join located_files on chosen.row_number is null and chosen.location = located_files.location
order by chosen.kind, chosen.image_name, chosen.row_number
