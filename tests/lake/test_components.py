import tracemalloc
from itertools import permutations, product

import pyarrow as pa
import pytest

from lake.components import components


def named(*pairs, kind=None):
    """Return the members of pairs, in the order of the answer, with the names of their components."""
    one, other = zip(*pairs, strict=True) if pairs else ((), ())
    members, names = components(pa.chunked_array([pa.array(one, kind)]), pa.chunked_array([pa.array(other, kind)]))
    return list(zip(members.to_pylist(), names.to_pylist(), strict=True))


def test_what_hangs_together_is_named_by_its_smallest_member():
    assert named(("b", "c"), ("c", "a"), ("x", "y")) == [("a", "a"), ("b", "a"), ("c", "a"), ("x", "x"), ("y", "x")]


@pytest.mark.parametrize("members", [(-9, -1, 0, 2**62, 2**63 - 1), ("", "B", "a", "aa", "é")])
def test_neither_the_order_of_the_pairs_nor_that_of_their_sides_matters(members):
    first, second, third, fourth, fifth = members
    chain = [(fifth, fourth), (third, fourth), (second, first), (first, fifth)]
    answers = {
        tuple(named(*(pair[::turn] for pair, turn in zip(order, turns, strict=True))))
        for order in permutations(chain)
        for turns in product((1, -1), repeat=len(chain))
    }
    assert answers == {tuple((member, first) for member in members)}


def test_a_member_beside_itself_or_paired_twice_is_there_once():
    assert named((7, 7), (2, 3), (3, 2), (2, 3)) == [(2, 2), (3, 2), (7, 7)]


def test_pairs_in_several_chunks_are_one_set_of_pairs():
    one, other = pa.chunked_array([[1, 2], [8]]), pa.chunked_array([[2], [3, 9]])
    assert [side.to_pylist() for side in components(one, other)] == [[1, 2, 3, 8, 9], [1, 1, 1, 8, 8]]


def test_a_long_chain_is_one_component():
    assert {name for _, name in named(*((number + 1, number) for number in range(100_000)))} == {0}


def test_nothing_hangs_together_without_pairs():
    assert named(kind=pa.int64()) == []


def test_a_million_pairs_become_no_objects_of_python():
    ends = pa.chunked_array([pa.array(range(1_000_001))])
    one, other = ends.slice(0, 1_000_000), ends.slice(1)
    components(one.slice(0, 1), other.slice(0, 1))  # what it imports is not what it takes
    tracemalloc.start()
    try:
        components(one, other)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 80_000_000  # 38 MB in arrays; in a dictionary of objects it was 145
