-- How much the answers to each observation differ: Jaccard similarity, species gained and lost; the most changed first.
-- grain: one row per observation_id
-- tables: first_answers, second_answers
-- params: none
with

pairs as (
    select
        coalesce(first_answers.observation_id, second_answers.observation_id) as observation_id,
        coalesce(first_answers.species_id, second_answers.species_id) as species_id,
        first_answers.species_id is not null as is_first,
        second_answers.species_id is not null as is_second
    from first_answers
    full outer join second_answers
        on
            first_answers.observation_id = second_answers.observation_id
            and first_answers.species_id = second_answers.species_id
)

select
    observation_id,
    count(*) filter (where is_first) as first_count,
    count(*) filter (where is_second) as second_count,
    count(*) filter (where is_first and is_second) as kept_count,
    count(*) filter (where is_first and is_second) / count(*) as jaccard,
    coalesce(list(species_id order by species_id) filter (where not is_first), []) as gained,
    coalesce(list(species_id order by species_id) filter (where not is_second), []) as lost
from pairs
group by observation_id
order by jaccard, len(gained) + len(lost) desc, observation_id
