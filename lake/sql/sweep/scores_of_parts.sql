-- The scores of chosen parts, pooled in the way that is asked for.
-- grain: one row per (observation_id, species_id)
-- tables: chosen_parts
-- params: $pooling
select
    observation_id,
    species_id,
    cast(
        case $pooling
            when 'sum' then round(total, 12)
            when 'mean' then round(mean, 12)
            when 'mode' then round(mean, 12)
            when 'noisy_or' then round(1 - exp(doubt), 12)
            else highest
        end as double
    ) as score,
    votes
from chosen_parts
