-- The threshold that keeps a given number of species in the mean: the (n k)-th largest score of n observations.
-- grain: one row
-- tables: scores
-- params: $mean_species, $observation_count, $min_votes
with

-- the largest ones are found without sorting all
largest as (
    select score
    from scores
    where votes >= $min_votes
    order by score desc
    limit cast(round(cast($mean_species as double) * $observation_count) as bigint)
)

-- where not even one is to be kept, no score is high enough
select coalesce(min(score), cast('infinity' as double)) as threshold
from largest
