-- The observations in which tiling schemes have different best species, one of which is no answer.
-- grain: one row per observation_id
-- tables: scheme_answers, answers, current_species
-- params: none
with

given as (
    select
        observation_id,
        species_id
    from answers
    where is_answer
),

held_against as (
    select
        scheme_answers.observation_id,
        scheme_answers.scheme_id,
        scheme_answers.species_id,
        coalesce(current_species.scientific_name, scheme_answers.species_id) as name,
        given.species_id is null as is_other
    from scheme_answers
    left join given
        on scheme_answers.observation_id = given.observation_id and scheme_answers.species_id = given.species_id
    left join current_species on scheme_answers.species_id = current_species.species_id
)

select
    observation_id,
    'schemes_disagree' as reason,
    round(count(*) filter (where is_other) / count(*), 6) as weight,
    string_agg(scheme_id || ' says ' || name, ', ' order by scheme_id) as detail
from held_against
group by observation_id
having count(distinct species_id) > 1 and bool_or(is_other)
order by observation_id
