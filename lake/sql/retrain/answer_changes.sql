-- How much the answers to some observations differ in all; one that neither answers is answered alike.
-- grain: one row
-- tables: scope, observation_changes
-- params: none
select
    count(*) as observations,
    count(*) filter (where observation_changes.jaccard < 1) as changed,
    fsum(coalesce(observation_changes.jaccard, 1)) / nullif(count(*), 0) as mean_jaccard
from scope
left join observation_changes on scope.observation_id = observation_changes.observation_id
