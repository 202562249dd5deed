-- Pairs of perceptual hashes of a data set that differ in few bits. Images of one hash are one hash here.
-- grain: one row per (phash, other_phash)
-- tables: image_records, perceptual_hashes
-- params: $dataset, $most_bits
with

-- a thousand pictures of one colour share one hash: as pairs of images they would be half a million rows
distinct_hashes as (
    select distinct
        perceptual_hashes.phash,
        -- counted from the lowest number, as the remainder of a negative one would not be its bits
        cast(cast(perceptual_hashes.phash as hugeint) + 9223372036854775808 as ubigint) as shifted
    from image_records
    inner join perceptual_hashes on image_records.image_id = perceptual_hashes.image_id
    where image_records.dataset = $dataset
),

-- four bands of 16 bits: of at most 3 differing bits one band has none, of at most 7 one band has at most one
units as (
    select cast(unnest([1, 65536, 4294967296, 281474976710656]) as ubigint) as unit
),

bands as (
    select
        distinct_hashes.phash,
        units.unit,
        cast(divide(distinct_hashes.shifted, units.unit) % cast(65536 as ubigint) as integer) as bits
    from distinct_hashes
    cross join units
),

flips as (
    select 0 as flipped
    union all
    select unnest([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768]) as flipped
    where $most_bits > 3
),

probes as (
    select
        bands.phash,
        bands.unit,
        xor(bands.bits, flips.flipped) as bits
    from bands
    cross join flips
)

-- a pair may meet in several bands
select distinct
    probes.phash,
    bands.phash as other_phash,
    cast(bit_count(xor(probes.phash, bands.phash)) as integer) as distance
from probes
inner join bands
    on
        probes.unit = bands.unit
        and probes.bits = bands.bits
        and probes.phash < bands.phash
where bit_count(xor(probes.phash, bands.phash)) <= $most_bits
order by probes.phash, bands.phash
