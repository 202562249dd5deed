-- Macro F1 over the species that are there, and over all that a model knows: a mean says little before it says of what.
-- grain: one row per metric
-- tables: species_f1
-- params: $species_count
select
    'macro_f1_per_true_species' as metric,
    -- added in one order: threads add in any, and the last digit of a sum hangs on it
    avg(f1 order by f1) as value
from species_f1
where support > 0
union all
-- who is known and neither there nor answered counts as 0; a true species that the model does not know counts too
select
    'macro_f1_per_known_species' as metric,
    sum(f1 order by f1) / greatest($species_count, count(*)) as value
from species_f1
