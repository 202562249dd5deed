-- How much two submissions differ in all. An observation that only one of them answers has a similarity of 0.
-- grain: one row
-- tables: observation_changes
-- params: none
select
    count(*) as observations,
    count(*) filter (where first_count > 0 and second_count > 0) as in_both,
    count(*) filter (where second_count = 0) as only_first,
    count(*) filter (where first_count = 0) as only_second,
    count(*) filter (where jaccard < 1) as changed,
    fsum(jaccard) / count(*) as mean_jaccard,
    sum(first_count) / count(*) filter (where first_count > 0) as first_mean_species,
    sum(second_count) / count(*) filter (where second_count > 0) as second_mean_species
from observation_changes
