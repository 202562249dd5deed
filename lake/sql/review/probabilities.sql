-- How probable each species is in each observation, in the taxonomy of today.
-- grain: one row per (observation_id, species_id)
-- tables: scores, accepted_species
-- params: $is_one
select
    scores.observation_id,
    coalesce(accepted_species.accepted_id, scores.species_id) as species_id,
    -- two that have become one are as probable as both where only one can be there; rounded, as the order of a sum must
    -- not decide
    round(if($is_one, least(1, fsum(scores.score)), max(scores.score)), 6) as probability
from scores
left join accepted_species on scores.species_id = accepted_species.species_id
group by scores.observation_id, coalesce(accepted_species.accepted_id, scores.species_id)
order by scores.observation_id, coalesce(accepted_species.accepted_id, scores.species_id)
