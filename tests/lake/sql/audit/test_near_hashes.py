import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame, rows

from lake.query import answer

LOWEST, HIGHEST = -(2**63), 2**63 - 1
HASHES = st.integers(LOWEST, HIGHEST)


def near(hashes, most_bits=6, other=()):
    records = [("d", f"i{number}") for number in range(len(hashes))]
    frames = {
        "image_records": frame("dataset image_id", *records, *(("e", one) for one, _ in other)),
        "perceptual_hashes": frame(
            "image_id phash", *((image, one) for (_, image), one in zip(records, hashes, strict=True)), *other
        ),
    }
    return rows(answer(None, "audit/near_hashes", frames=frames, dataset="d", most_bits=most_bits))


def signed(bits):
    return bits - 2**64 if bits > HIGHEST else bits


def flipped(phash, places):
    for place in places:
        phash ^= 1 << place
    return signed(phash % 2**64)


def brute_force(hashes, most_bits):
    distinct = sorted(set(hashes))
    return [
        (one, other, distance)
        for position, one in enumerate(distinct)
        for other in distinct[position + 1 :]
        if (distance := ((one ^ other) % 2**64).bit_count()) <= most_bits
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(HASHES, st.lists(st.sets(st.integers(0, 63), max_size=9), max_size=3)), max_size=6),
    st.integers(0, 7),
)
def test_exactly_the_pairs_that_comparing_all_with_all_would_find_are_found(seeds, most_bits):
    hashes = [flipped(phash % 2**64, places) for phash, copies in seeds for places in [set(), *copies]]
    assert near(hashes, most_bits) == brute_force(hashes, most_bits)


@pytest.mark.parametrize("most_bits", range(8))
def test_no_pair_is_overlooked_wherever_its_bits_differ(most_bits):
    draw = random.Random(most_bits)
    hashes = []
    for _ in range(300):
        phash = draw.getrandbits(64)
        hashes += [signed(phash), flipped(phash, draw.sample(range(64), most_bits))]
    assert len(brute_force(hashes, most_bits)) >= (300 if most_bits else 0)
    assert near(hashes, most_bits) == brute_force(hashes, most_bits)


def test_the_sign_is_a_bit_like_others():
    assert near([LOWEST, 0, HIGHEST, -1], 1) == [(LOWEST, 0, 1), (-1, HIGHEST, 1)]


def test_images_of_one_hash_are_one_hash():
    assert near([0] * 2000 + [1]) == [(0, 1, 1)]


def test_hashes_of_another_data_set_are_not_seen():
    assert near([0], other=[("j", 1)]) == []
