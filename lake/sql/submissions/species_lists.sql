-- The species of each answer in the order in which they are written: ids that are numbers by number, then the others.
-- grain: one row per observation_id
-- tables: answers
-- params: none
with

ordered as (
    select
        observation_id,
        species_id,
        -- try_cast alone would round 1.5
        case when regexp_full_match(species_id, '[0-9]+') then try_cast(species_id as hugeint) end as number
    from answers
)

select
    observation_id,
    list(species_id order by number nulls last, species_id) as species_ids
from ordered
group by observation_id
order by observation_id
