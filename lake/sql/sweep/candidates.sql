-- The scores that can be kept by any of some rules: all others are of no account to them.
-- grain: one row per (observation_id, species_id)
-- tables: scores
-- params: $min_votes, $lowest_threshold, $largest_count, $best
with

largest as (
    select score
    from scores
    where votes >= $min_votes
    order by score desc
    limit $largest_count
),

-- without a threshold and without a count only the best of each observation can be kept
limits as (
    select least(coalesce($lowest_threshold, min(score)), min(score)) as lowest
    from largest
),

best as (
    select
        observation_id,
        list_min(max(score, $best)) as lowest
    from scores
    group by observation_id
)

select
    scores.observation_id,
    scores.species_id,
    scores.score,
    scores.votes
from scores
inner join best on scores.observation_id = best.observation_id
cross join limits
where scores.score >= limits.lowest or scores.score >= best.lowest
