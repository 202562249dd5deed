-- What each observation of the queue was answered with, and the most probable other species.
-- grain: one row per (observation_id, species_id)
-- tables: queue, answers, probabilities, current_species
-- params: $runners_up
with

asked as (
    select distinct observation_id
    from queue
),

given as (
    select
        answers.observation_id,
        answers.species_id,
        answers.rank
    from answers
    semi join asked on answers.observation_id = asked.observation_id
    where answers.is_answer
),

others as (
    select
        probabilities.observation_id,
        probabilities.species_id,
        cast(null as integer) as rank
    from probabilities
    semi join asked on probabilities.observation_id = asked.observation_id
    anti join given
        on probabilities.observation_id = given.observation_id and probabilities.species_id = given.species_id
    qualify
        row_number() over (
            partition by probabilities.observation_id
            order by probabilities.probability desc, probabilities.species_id
        ) <= $runners_up
),

shown as (
    select *
    from given
    union all
    select *
    from others
)

select
    shown.observation_id,
    shown.species_id,
    coalesce(current_species.scientific_name, shown.species_id) as scientific_name,
    probabilities.probability,
    shown.rank is not null as is_answer
from shown
left join probabilities
    on shown.observation_id = probabilities.observation_id and shown.species_id = probabilities.species_id
left join current_species on shown.species_id = current_species.species_id
order by shown.observation_id, shown.rank nulls last, probabilities.probability desc, shown.species_id
