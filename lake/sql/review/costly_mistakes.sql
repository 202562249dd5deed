-- The observations whose answer is expected to cost much, where a venomous species is in play.
-- grain: one row per observation_id
-- tables: answers, probabilities, venomous_species, costs, current_species
-- params: $least_cost, $least_share
with

totals as (
    select
        observation_id,
        fsum(probability) as total
    from probabilities
    group by observation_id
),

shares as (
    select
        probabilities.observation_id,
        probabilities.species_id,
        probabilities.probability / totals.total as share,
        venomous_species.species_id is not null as is_venomous,
        coalesce(current_species.scientific_name, probabilities.species_id) as name
    from probabilities
    inner join totals on probabilities.observation_id = totals.observation_id
    left join venomous_species on probabilities.species_id = venomous_species.species_id
    left join current_species on probabilities.species_id = current_species.species_id
    where totals.total > 0
),

answered as (
    select
        answers.observation_id,
        answers.species_id,
        venomous_species.species_id is not null as is_venomous
    from answers
    left join venomous_species on answers.species_id = venomous_species.species_id
    where answers.is_answer
),

-- to be right costs nothing
expected as (
    select
        answered.observation_id,
        round(fsum(shares.share * costs.cost), 6) as cost
    from answered
    inner join shares on answered.observation_id = shares.observation_id and answered.species_id != shares.species_id
    inner join costs
        on shares.is_venomous = costs.is_truth_venomous and answered.is_venomous = costs.is_answer_venomous
    group by answered.observation_id
),

venomous as (
    select
        observation_id,
        name,
        share
    from shares
    where is_venomous and share >= $least_share
    qualify row_number() over (partition by observation_id order by share desc, species_id) = 1
)

select
    expected.observation_id,
    'costly_mistake' as reason,
    least(1, expected.cost) as weight,
    printf(
        'to be wrong is expected to cost %.2f: %s, %.2f, is venomous', expected.cost, venomous.name, venomous.share
    ) as detail
from expected
inner join venomous on expected.observation_id = venomous.observation_id
where expected.cost >= $least_cost
order by expected.observation_id
