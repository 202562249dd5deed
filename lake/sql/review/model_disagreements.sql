-- The observations of which another model says something else: they share less than half of what both say.
-- grain: one row per observation_id
-- tables: model_answers, answers, current_species
-- params: none
with

given as (
    select
        observation_id,
        list(species_id order by species_id) as species_ids
    from answers
    where is_answer
    group by observation_id
),

others as (
    select
        model_answers.model_version,
        model_answers.observation_id,
        list(model_answers.species_id order by model_answers.species_id) as species_ids,
        string_agg(
            coalesce(current_species.scientific_name, model_answers.species_id), ' + ' order by model_answers.species_id
        ) as names
    from model_answers
    left join current_species on model_answers.species_id = current_species.species_id
    group by model_answers.model_version, model_answers.observation_id
),

held_against as (
    select
        others.observation_id,
        -- the run tells models of one name apart; people need it not
        split_part(others.model_version, ':', 1) || ' says ' || others.names as said,
        others.model_version,
        len(list_intersect(others.species_ids, given.species_ids))
        / len(list_distinct(list_concat(others.species_ids, given.species_ids))) as likeness
    from others
    inner join given on others.observation_id = given.observation_id
)

select
    observation_id,
    'models_disagree' as reason,
    round(fsum(1 - likeness) / count(*), 6) as weight,
    string_agg(said, ', ' order by model_version) filter (where likeness < 0.5) as detail
from held_against
group by observation_id
having min(likeness) < 0.5
order by observation_id
