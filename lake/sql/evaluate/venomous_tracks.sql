-- Tracks 1 (best 100) and 2 (best 0) of SnakeCLEF 2023: a venomous species taken for a harmless one costs most.
-- grain: one row per metric
-- tables: truth, answers, current_species
-- params: $macro_f1
with

venomous_species as (
    select species_id
    from current_species
    where is_venomous
),

judged as (
    select
        true_venomous.species_id is not null as is_venomous,
        -- an observation without an answer is a miss that warns nobody
        answered_venomous.species_id is not null as is_warned,
        coalesce(truth.species_id = answers.species_id, false) as is_hit
    from truth
    left join answers on truth.observation_id = answers.observation_id and answers.rank = 1
    left join venomous_species as true_venomous on truth.species_id = true_venomous.species_id
    left join venomous_species as answered_venomous on answers.species_id = answered_venomous.species_id
),

mistakes as (
    select
        count(*) filter (where not is_venomous) as harmless,
        count(*) filter (where is_venomous) as venomous,
        count(*) filter (where not is_venomous and not is_warned and not is_hit) as harmless_as_harmless,
        count(*) filter (where not is_venomous and is_warned) as harmless_as_venomous,
        count(*) filter (where is_venomous and not is_warned) as venomous_as_harmless,
        count(*) filter (where is_venomous and is_warned and not is_hit) as venomous_as_venomous
    from judged
),

-- in percent, to two places and a half to the even one: the contest rounds before it adds
percents as (
    select
        round_even(cast($macro_f1 as double) * 100, 2) as macro_f1,
        round_even(harmless_as_harmless / nullif(harmless, 0) * 100, 2) as harmless_as_harmless,
        round_even(harmless_as_venomous / nullif(harmless, 0) * 100, 2) as harmless_as_venomous,
        round_even(venomous_as_harmless / nullif(venomous, 0) * 100, 2) as venomous_as_harmless,
        round_even(venomous_as_venomous / nullif(venomous, 0) * 100, 2) as venomous_as_venomous
    from mistakes
),

tracks as (
    select
        'snakeclef_track1' as metric,
        round_even(
            (
                macro_f1
                + (100 - harmless_as_harmless)
                + 2 * (100 - harmless_as_venomous)
                + 5 * (100 - venomous_as_harmless)
                + 2 * (100 - venomous_as_venomous)
            ) / 11,
            2
        ) as value
    from percents
    union all
    select
        'snakeclef_track2' as metric,
        cast(
            harmless_as_harmless + 2 * harmless_as_venomous + 5 * venomous_as_harmless + 2 * venomous_as_venomous
            as double
        ) as value
    from mistakes
)

-- without a venomous or without a harmless observation there are no shares to add: track 1 is then missing
select
    metric,
    value
from tracks
where value is not null
