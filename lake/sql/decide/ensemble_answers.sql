-- What several decisions answer together: what any of them says, what all say, or one or the other as they agree.
-- grain: one row per (observation_id, species_id)
-- tables: members
-- params: $member_count, $how, $least_jaccard
with

given as (
    select
        member,
        observation_id,
        species_id,
        score,
        votes,
        rank
    from members
    where is_answer
),

pooled as (
    select
        observation_id,
        species_id,
        count(*) as member_count,
        round(avg(score), 12) as score,
        sum(votes) as votes,
        sum(1.0 / rank) as standing
    from given
    group by observation_id, species_id
),

-- Jaccard of the sets: what all say of what any says
agreements as (
    select
        observation_id,
        count(*) filter (where member_count = $member_count) / count(*) as jaccard,
        bool_or(member_count = $member_count) as has_common
    from pooled
    group by observation_id
),

kept as (
    select
        pooled.observation_id,
        pooled.species_id,
        pooled.score,
        pooled.votes,
        pooled.member_count,
        pooled.standing
    from pooled
    inner join agreements on pooled.observation_id = agreements.observation_id
    where
        $how = 'union'
        or ($how = 'jaccard' and agreements.jaccard < $least_jaccard)
        or pooled.member_count = $member_count
        -- where they have nothing in common, what the first one says stands
        or (
            not agreements.has_common
            and exists (
                select 1
                from given
                where
                    given.member = 0
                    and given.observation_id = pooled.observation_id
                    and given.species_id = pooled.species_id
            )
        )
)

select
    observation_id,
    species_id,
    score,
    cast(votes as bigint) as votes,
    cast(
        row_number() over (
            partition by observation_id
            order by member_count desc, round(standing, 12) desc, species_id
        ) as integer
    ) as rank,
    true as is_answer
from kept
order by observation_id, rank
