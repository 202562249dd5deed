-- The observations that a person should look at, and why: those without a label, and those whose label is doubted.
-- grain: one row per (observation_id, reason)
-- tables: reasons, current_labels
-- params: $most
with

labelled as (
    select distinct observation_id
    from current_labels
),

doubted as (
    select observation_id
    from reasons
    where reason = 'label_doubted'
),

asked as (
    select reasons.*
    from reasons
    left join labelled on reasons.observation_id = labelled.observation_id
    left join doubted on reasons.observation_id = doubted.observation_id
    where labelled.observation_id is null or doubted.observation_id is not null
),

ranked as (
    select
        observation_id,
        row_number() over (order by round(fsum(weight), 6) desc, observation_id) as rank
    from asked
    group by observation_id
)

select
    asked.observation_id,
    asked.reason,
    asked.detail,
    asked.weight,
    ranked.rank
from asked
inner join ranked on asked.observation_id = ranked.observation_id
where ranked.rank <= $most
order by ranked.rank, asked.weight desc, asked.reason
