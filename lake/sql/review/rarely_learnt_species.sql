-- The observations answered with a species of which the model has seen little.
-- grain: one row per observation_id
-- tables: answers, train_counts, current_species
-- params: $few
with

counted as (
    select
        answers.observation_id,
        answers.species_id,
        coalesce(current_species.scientific_name, answers.species_id) as name,
        coalesce(train_counts.train_count, 0) as train_count
    from answers
    left join train_counts on answers.species_id = train_counts.species_id
    left join current_species on answers.species_id = current_species.species_id
    where answers.is_answer
)

select
    observation_id,
    'new_species' as reason,
    round(1 - min(train_count) / $few, 6) as weight,
    string_agg(printf('training observations of %s: %d', name, train_count), ', ' order by species_id) as detail
from counted
where train_count < $few
group by observation_id
order by observation_id
