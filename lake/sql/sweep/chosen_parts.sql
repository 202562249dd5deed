-- What the tiles of some parts together say of each species.
-- grain: one row per (observation_id, species_id)
-- tables: part_scores, part_tiles
-- params: $parts
with

tiles as (
    select
        observation_id,
        sum(tile_count) as tile_count
    from part_tiles
    where list_contains($parts, part)
    group by observation_id
),

pooled as (
    select
        observation_id,
        species_id,
        max(highest) as highest,
        sum(total) as total,
        sum(doubt) as doubt,
        sum(votes) as votes
    from part_scores
    where list_contains($parts, part)
    group by observation_id, species_id
)

select
    pooled.observation_id,
    pooled.species_id,
    pooled.highest,
    pooled.total,
    pooled.total / tiles.tile_count as mean,
    pooled.doubt,
    cast(pooled.votes as bigint) as votes
from pooled
inner join tiles on pooled.observation_id = tiles.observation_id
