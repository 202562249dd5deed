-- What champions of a model have answered, and the champion of today has not, or not for all observations of today.
-- grain: one row per (dataset, rule_id)
-- tables: decisions, promotions, image_records
-- params: $model, $champion
with

-- who was never champion was tried by somebody, not used
champions as (
    select from_version as model_version
    from promotions
    where model = $model
    union
    select to_version as model_version
    from promotions
    where model = $model
    union
    select $champion as model_version
),

answered as (
    select decisions.*
    from decisions
    semi join champions on decisions.model_version = champions.model_version
    where decisions.split = 'all'
),

sizes as (
    select
        dataset,
        count(distinct observation_id) as observation_count
    from image_records
    group by dataset
),

-- as the priors of the place make one rule several decisions, the newest speaks
newest as (
    select
        dataset,
        rule_id,
        arg_max(rule, (decided_at, decision_id)) as rule,
        arg_max(decision_id, (decided_at, decision_id)) filter (where model_version != $champion) as earlier_id,
        coalesce(max(observation_count) filter (where model_version = $champion), 0) as observation_count
    from answered
    group by dataset, rule_id
)

select
    newest.dataset,
    newest.rule_id,
    newest.rule,
    newest.earlier_id
from newest
inner join sizes on newest.dataset = sizes.dataset
where newest.observation_count != sizes.observation_count
order by newest.dataset, newest.rule_id
