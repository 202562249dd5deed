-- How the similarity of answers is distributed: by tenths, each named by its lower edge, identical answers by 1.
-- grain: one row per tenth
-- tables: observation_changes
-- params: none
with

tenths as (
    -- in whole numbers: 0.7 * 10 is a little less than 7
    select 10 * kept_count // (first_count + second_count - kept_count) as tenth
    from observation_changes
)

select
    tenth,
    count(*) as observation_count
from tenths
group by tenth
order by tenth
