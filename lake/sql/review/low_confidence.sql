-- The observations whose answer is improbable, or hardly more probable than the next species.
-- grain: one row per observation_id
-- tables: answers, probabilities, current_species
-- params: $is_one, $least_probability, $least_margin
with

named as (
    select
        probabilities.observation_id,
        probabilities.species_id,
        probabilities.probability,
        coalesce(answers.is_answer, false) as is_answer,
        coalesce(current_species.scientific_name, probabilities.species_id) as name
    from probabilities
    left join answers
        on
            probabilities.observation_id = answers.observation_id
            and probabilities.species_id = answers.species_id
            and answers.is_answer
    left join current_species on probabilities.species_id = current_species.species_id
),

-- of several species that are answered the least sure one
weakest as (
    select
        observation_id,
        name,
        probability
    from named
    where is_answer
    qualify row_number() over (partition by observation_id order by probability, species_id) = 1
),

next_best as (
    select
        observation_id,
        name,
        probability
    from named
    where not is_answer
    qualify row_number() over (partition by observation_id order by probability desc, species_id) = 1
),

held_against as (
    select
        weakest.observation_id,
        weakest.name,
        weakest.probability,
        next_best.name as next_name,
        next_best.probability as next_probability,
        -- several species do not take from each other
        weakest.probability - if($is_one, coalesce(next_best.probability, 0), 0) as margin
    from weakest
    left join next_best on weakest.observation_id = next_best.observation_id
)

select
    observation_id,
    'low_confidence' as reason,
    round(1 - greatest(0, margin), 6) as weight,
    printf('%s %.2f', name, probability)
    || if($is_one and next_name is not null, printf(', %s %.2f', next_name, next_probability), '') as detail
from held_against
where probability < $least_probability or ($is_one and margin < $least_margin)
order by observation_id
