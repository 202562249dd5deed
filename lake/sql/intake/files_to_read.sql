-- Files that have to be read: new ones, changed ones, and those that were refused for a reason that may have passed.
-- grain: one row per location
-- tables: matched_rows, file_reads
-- params: $read_all, $retried_kinds, $first_pause_seconds, $longest_pause_seconds, $now
with

latest_reads as (
    select *
    from file_reads
    qualify row_number() over (partition by location, byte_count, modified_ns order by attempt desc) = 1
)

select distinct
    matched_rows.location,
    matched_rows.byte_count,
    matched_rows.modified_ns,
    matched_rows.position,
    cast(coalesce(latest_reads.attempt, 0) + 1 as integer) as attempt
from matched_rows
left join latest_reads
    on
        matched_rows.location = latest_reads.location
        and matched_rows.byte_count = latest_reads.byte_count
        and matched_rows.modified_ns = latest_reads.modified_ns
where
    matched_rows.kind is null
    and (
        latest_reads.attempt is null
        or $read_all
        or (
            list_contains($retried_kinds, latest_reads.kind)
            -- each time twice as long as before; 0 is no pause
            and (
                $longest_pause_seconds = 0
                or latest_reads.read_at
                + to_seconds(least($first_pause_seconds * 2 ** (latest_reads.attempt - 1), $longest_pause_seconds))
                <= $now
            )
        )
    )
-- as they lie in folders and archives, so that a disk reads on and does not jump
order by
    matched_rows.position is null,
    matched_rows.position,
    matched_rows.location
