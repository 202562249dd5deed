-- The priors that there are for a data set, and for others, the latest first.
-- grain: one row per prior_id
-- tables: prior_specs, prior_places
-- params: $dataset
with

placed as (
    select distinct prior_id
    from prior_places
    where dataset = $dataset
)

select
    prior_specs.prior_id,
    prior_specs.kind,
    placed.prior_id is not null as is_for_dataset,
    prior_specs.recorded_at
from prior_specs
left join placed on prior_specs.prior_id = placed.prior_id
order by prior_specs.recorded_at desc, prior_specs.prior_id
