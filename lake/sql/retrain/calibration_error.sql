-- How far the probabilities of one-species answers are from how often they are right: fifteen bins of equal width.
-- grain: one row
-- tables: truth, answers
-- params: none
with

-- an observation without an answer has no probability that could be wrong
judged as (
    select
        answers.score as probability,
        case when answers.species_id = truth.species_id then 1.0 else 0.0 end as is_right,
        least(cast(floor(answers.score * 15) as integer), 14) as bin
    from truth
    inner join answers on truth.observation_id = answers.observation_id and answers.rank = 1
),

bins as (
    select
        bin,
        abs(sum(probability order by probability) - sum(is_right)) as gap,
        count(*) as observation_count
    from judged
    group by bin
)

-- Guo et al. 2017, "On Calibration of Modern Neural Networks"; null where nothing is answered
select sum(gap order by gap) / sum(observation_count) as calibration_error
from bins
