-- The scores of a base quadrat over its dates, given to each of its observations.
-- grain: one row per (observation_id, species_id)
-- tables: scores, base_quadrats
-- params: $grouping, $min_votes
with

-- an observation of no base quadrat stands alone
grouped as (
    select
        base_quadrats.observation_id,
        coalesce(base_quadrats.base_quadrat, cast(base_quadrats.observation_id as varchar)) as base_quadrat,
        base_quadrats.base_quadrat is null as is_alone
    from base_quadrats
),

date_counts as (
    select
        base_quadrat,
        is_alone,
        count(*) as date_count
    from grouped
    group by base_quadrat, is_alone
),

pooled as (
    select
        grouped.base_quadrat,
        grouped.is_alone,
        scores.species_id,
        max(scores.score) as highest,
        fsum(scores.score) as total,
        count(*) filter (where scores.votes >= $min_votes) as found_count,
        sum(scores.votes) as votes
    from scores
    inner join grouped on scores.observation_id = grouped.observation_id
    group by grouped.base_quadrat, grouped.is_alone, scores.species_id
)

select
    grouped.observation_id,
    pooled.species_id,
    case $grouping
        when 'mean' then round(pooled.total / date_counts.date_count, 12)
        -- how often it was found, weighing its best: the rule of Atlantic (PlantCLEF 2024)
        when 'frequency' then pooled.highest * (1 + ln(1 + pooled.found_count))
        else pooled.highest
    end as score,
    cast(pooled.votes as bigint) as votes
from grouped
inner join pooled on grouped.base_quadrat = pooled.base_quadrat and grouped.is_alone = pooled.is_alone
inner join date_counts on grouped.base_quadrat = date_counts.base_quadrat and grouped.is_alone = date_counts.is_alone
