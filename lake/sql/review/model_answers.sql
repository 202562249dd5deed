-- What other models have answered in each observation, each by its newest decision there, in the taxonomy of today.
-- grain: one row per (model_version, observation_id, species_id)
-- tables: decisions, observation_predictions, rivals, scope, accepted_species
-- params: $dataset, $kind
with

answered as (
    select
        decisions.model_version,
        decisions.decision_id,
        decisions.decided_at,
        observation_predictions.observation_id,
        coalesce(accepted_species.accepted_id, observation_predictions.species_id) as species_id
    from decisions
    inner join rivals on decisions.model_version = rivals.model_version
    inner join observation_predictions on decisions.decision_id = observation_predictions.decision_id
    inner join scope on observation_predictions.observation_id = scope.observation_id
    left join accepted_species on observation_predictions.species_id = accepted_species.species_id
    where
        decisions.dataset = $dataset
        and json_extract_string(decisions.rule, '$.species') = $kind
        and observation_predictions.is_answer
),

newest as (
    select
        model_version,
        observation_id,
        species_id
    from answered
    qualify
        dense_rank() over (
            partition by model_version, observation_id
            order by decided_at desc, decision_id
        ) = 1
)

select distinct
    model_version,
    observation_id,
    species_id
from newest
order by model_version, observation_id, species_id
