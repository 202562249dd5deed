-- What a prior did to the scores of some observations.
-- grain: one row
-- tables: scores_before, scores_after, prior_places, priors
-- params: $prior_id, $dataset
with

placed as (
    select
        observation_id,
        place
    from prior_places
    where prior_id = $prior_id and dataset = $dataset
),

observations as (
    select
        scores_before.observation_id,
        bool_or(placed.place is null) as is_unplaced
    from scores_before
    left join placed on scores_before.observation_id = placed.observation_id
    group by scores_before.observation_id
),

best_before as (
    select
        observation_id,
        species_id
    from scores_before
    qualify row_number() over (partition by observation_id order by score desc, votes desc, species_id) = 1
),

best_after as (
    select
        observation_id,
        species_id,
        is_fallback
    from scores_after
    qualify row_number() over (partition by observation_id order by score desc, votes desc, species_id) = 1
),

pairs as (
    select
        scores_after.observation_id is null as is_removed,
        scores_after.score <> scores_before.score as is_changed,
        priors.weight is not null as is_weighted
    from scores_before
    left join scores_after
        on
            scores_before.observation_id = scores_after.observation_id
            and scores_before.species_id = scores_after.species_id
    left join placed on scores_before.observation_id = placed.observation_id
    left join priors
        on
            priors.prior_id = $prior_id
            and placed.place = priors.place
            and scores_before.species_id = priors.species_id
)

select
    (select count(*) from observations) as observation_count,
    (
        select count(*)
        from best_before
        inner join best_after on best_before.observation_id = best_after.observation_id
        where best_before.species_id <> best_after.species_id
    ) as changed_best_count,
    (select count(*) from pairs where is_removed) as removed_count,
    (select count(*) from pairs where is_changed) as changed_score_count,
    -- answers that name a species of which the prior knows how likely it is there
    (select count(*) from pairs where is_weighted) as weighted_count,
    (select count(*) from best_after where is_fallback) as fallback_count,
    (select count(*) from observations where is_unplaced) as unplaced_count
