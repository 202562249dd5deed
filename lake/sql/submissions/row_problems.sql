-- What is wrong with the rows of a submission as a whole: ids twice, unknown or missing, species twice or unknown.
-- grain: one row per (kind, row_number, observation_id, species_id)
-- tables: submission_rows, submission_answers, expected_observations, current_species
-- params: none
with

numbered as (
    select
        row_number,
        observation_id,
        first_value(row_number) over (partition by observation_id order by row_number) as earlier_row
    from submission_rows
),

double_ids as (
    select
        'double_id' as kind,
        row_number,
        observation_id,
        null as species_id,
        earlier_row,
        null as near_id
    from numbered
    where row_number > earlier_row
),

-- where nothing is expected, or no species is on record, nobody can say what is unknown
known as (
    select
        (select count(*) from expected_observations) > 0 as are_ids_known,
        (select count(*) from current_species) > 0 as are_species_known
),

unknown_ids as (
    select
        'unknown_id' as kind,
        submission_rows.row_number,
        submission_rows.observation_id,
        null as species_id,
        null as earlier_row,
        -- a frequent mistake is the name of the file
        near.observation_id as near_id
    from submission_rows
    anti join expected_observations on submission_rows.observation_id = expected_observations.observation_id
    left join expected_observations as near
        on regexp_replace(submission_rows.observation_id, '\.[^.]*$', '') = near.observation_id
    cross join known
    where known.are_ids_known
),

missing_ids as (
    select
        'missing_id' as kind,
        null as row_number,
        expected_observations.observation_id,
        null as species_id,
        null as earlier_row,
        null as near_id
    from expected_observations
    anti join submission_rows on expected_observations.observation_id = submission_rows.observation_id
),

answers_twice as (
    select
        'answer_twice' as kind,
        row_number,
        any_value(observation_id) as observation_id,
        species_id,
        null as earlier_row,
        null as near_id
    from submission_answers
    group by row_number, species_id
    having count(*) > 1
),

-- said once for each species, where it first stands
unknown_species as (
    select
        'unknown_species' as kind,
        min(submission_answers.row_number) as row_number,
        arg_min(submission_answers.observation_id, submission_answers.row_number) as observation_id,
        submission_answers.species_id,
        null as earlier_row,
        null as near_id
    from submission_answers
    anti join current_species on submission_answers.species_id = current_species.species_id
    cross join known
    where known.are_species_known
    group by submission_answers.species_id
),

problems as (
    select * from double_ids
    union all
    select * from unknown_ids
    union all
    select * from missing_ids
    union all
    select * from answers_twice
    union all
    select * from unknown_species
)

select * from problems
order by row_number nulls last, kind, observation_id, species_id
