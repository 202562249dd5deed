-- The sweeps that chose a rule on a data set, the latest first, with its scores on what they had kept from the choice.
-- grain: one row per (sweep_id, metric)
-- tables: sweeps
-- params: $dataset, $rule_id
with

-- what was kept from the choice is scored under the sweep's id and a hyphen, for the chosen rule alone
parts as (
    select
        sweep_id,
        split_part(sweep_id, '-', 1) as of_sweep,
        contains(sweep_id, '-') as is_held_out,
        rule_id,
        metric,
        value,
        ci_low,
        ci_high,
        model_version,
        split,
        observation_count,
        swept_at
    from sweeps
    where dataset = $dataset
),

tried as (
    select
        of_sweep,
        model_version,
        split,
        observation_count,
        min(swept_at) as swept_at
    from parts
    where not is_held_out and rule_id = $rule_id
    group by of_sweep, model_version, split, observation_count
),

held_out as (
    select *
    from parts
    where is_held_out and rule_id = $rule_id
    qualify row_number() over (partition by of_sweep, metric order by swept_at desc, sweep_id) = 1
)

select
    tried.of_sweep as sweep_id,
    tried.model_version,
    tried.split,
    tried.observation_count,
    held_out.metric,
    held_out.value,
    held_out.ci_low,
    held_out.ci_high,
    held_out.split as held_out_split,
    held_out.observation_count as held_out_count
from tried
left join held_out on tried.of_sweep = held_out.of_sweep
-- of a sweep that kept nothing nobody knows which of its rules was taken
where
    held_out.sweep_id is not null
    or tried.of_sweep not in (
        select of_sweep
        from parts
        where is_held_out
    )
order by tried.swept_at desc, tried.of_sweep, held_out.metric
