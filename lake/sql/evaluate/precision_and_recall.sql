-- How many of the answered species are there, how many of those there are answered, and how many an observation gets.
-- grain: one row per metric
-- tables: species_f1, truth
-- params: none
with

totals as (
    select
        sum(true_positives) as hits,
        sum(predicted) as answered,
        sum(support) as true_pairs
    from species_f1
)

select
    'precision' as metric,
    -- where nothing is answered nothing is right
    coalesce(hits / nullif(answered, 0), 0.0) as value
from totals
union all
select
    'recall' as metric,
    hits / true_pairs as value
from totals
union all
select
    'mean_species' as metric,
    answered / (select count(distinct observation_id) from truth) as value
from totals
