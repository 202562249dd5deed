-- The species that training saw most often: in each country, and in all together, where country_code is null.
-- grain: one row per country_code
-- tables: train_observations
-- params: none
with

regions as (
    select
        country_code,
        species_id
    from train_observations
    where country_code is not null
    union all
    select
        null as country_code,
        species_id
    from train_observations
),

species_counts as (
    select
        country_code,
        species_id,
        count(*) as observation_count
    from regions
    group by country_code, species_id
)

select
    country_code,
    species_id,
    observation_count
from species_counts
qualify
    row_number() over (
        partition by country_code
        -- a tie goes to the smaller id, and 9 is smaller than 10
        order by observation_count desc, try_cast(species_id as hugeint) nulls last, species_id
    ) = 1
order by country_code nulls first
