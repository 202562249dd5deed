-- The labelled observations whose label a sure answer contradicts, and no review has confirmed.
-- grain: one row per observation_id
-- tables: answers, probabilities, current_labels, reviewed_observations, current_species
-- params: $sure
with

labelled as (
    select
        current_labels.observation_id,
        list(current_labels.species_id order by current_labels.species_id) as species_ids,
        string_agg(
            coalesce(current_species.scientific_name, current_labels.species_id), ' + '
            order by current_labels.species_id
        ) as names
    from current_labels
    left join current_species on current_labels.species_id = current_species.species_id
    group by current_labels.observation_id
),

sure_answers as (
    select
        answers.observation_id,
        answers.species_id,
        probabilities.probability,
        coalesce(current_species.scientific_name, answers.species_id) as name
    from answers
    inner join probabilities
        on answers.observation_id = probabilities.observation_id and answers.species_id = probabilities.species_id
    left join current_species on answers.species_id = current_species.species_id
    where answers.is_answer and probabilities.probability >= $sure
)

select
    sure_answers.observation_id,
    'label_doubted' as reason,
    max(sure_answers.probability) as weight,
    'labelled ' || any_value(labelled.names) || ', answered '
    || string_agg(
        printf('%s %.2f', sure_answers.name, sure_answers.probability), ', ' order by sure_answers.species_id
    ) as detail
from sure_answers
inner join labelled on sure_answers.observation_id = labelled.observation_id
anti join reviewed_observations on sure_answers.observation_id = reviewed_observations.observation_id
where not list_contains(labelled.species_ids, sure_answers.species_id)
group by sure_answers.observation_id
order by sure_answers.observation_id
