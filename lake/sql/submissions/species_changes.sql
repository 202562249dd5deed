-- The species that came into the most answers, and those that went out of the most.
-- grain: one row per (change, species_id)
-- tables: observation_changes
-- params: $most
with

changes as (
    select
        'gained' as change,
        unnest(gained) as species_id
    from observation_changes
    union all
    select
        'lost' as change,
        unnest(lost) as species_id
    from observation_changes
),

counts as (
    select
        change,
        species_id,
        count(*) as observation_count
    from changes
    group by change, species_id
)

select * from counts
qualify row_number() over (partition by change order by observation_count desc, species_id) <= $most
order by change, observation_count desc, species_id
