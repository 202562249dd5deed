-- F1 of the observations, averaged over those of each transect first, so that a short one weighs as much as a long one.
-- grain: one row per metric
-- tables: observation_f1, facts
-- params: $unit
with

placed as (
    select
        observation_f1.observation_id,
        observation_f1.f1,
        case $unit
            when 'transect' then facts.transect
            when 'base_quadrat' then facts.base_quadrat
            when 'site' then facts.site
        end as unit
    from observation_f1
    left join facts on observation_f1.observation_id = facts.observation_id
),

unit_scores as (
    -- added in one order: threads add in any, and the last digit of a sum hangs on it
    select avg(f1 order by f1) as f1
    from placed
    -- who stands on no transect is one by itself
    group by unit, case when unit is null then observation_id end
)

select
    'macro_f1_per_transect' as metric,
    avg(f1 order by f1) as value
from unit_scores
