-- What of a source is set aside and was not before, by reason and extension, with the species that lose most.
-- grain: one row per (kind, extension)
-- tables: outcomes, source_species
-- params: none
with

lost as (
    select
        row_number,
        image_name,
        kind,
        coalesce(nullif(regexp_extract(image_name, '\.([^./\\ ]{1,10})$', 1), ''), 'none') as extension
    from outcomes
    where outcome = 'set_aside' and not is_known_issue
),

by_species as (
    select
        lost.kind,
        lost.extension,
        source_species.species_id,
        count(distinct lost.row_number) as row_count
    from lost
    inner join source_species on lost.row_number = source_species.row_number
    group by lost.kind, lost.extension, source_species.species_id
),

species_lists as (
    select
        kind,
        extension,
        count(*) as species_count,
        list(species_id || ' ' || row_count order by row_count desc, species_id)[1:3] as most_frequent
    from by_species
    group by kind, extension
)

select
    lost.kind,
    lost.extension,
    count(*) as row_count,
    coalesce(any_value(species_lists.species_count), 0) as species_count,
    any_value(species_lists.most_frequent) as most_frequent,
    min(lost.image_name) as example
from lost
left join species_lists on lost.kind = species_lists.kind and lost.extension = species_lists.extension
group by lost.kind, lost.extension
order by row_count desc, lost.kind, lost.extension
