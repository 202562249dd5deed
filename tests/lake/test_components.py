from itertools import permutations

from lake.components import components


def test_what_hangs_together_is_named_by_its_smallest_member():
    assert components([("b", "c"), ("c", "a"), ("x", "y")]) == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}


def test_the_order_of_the_pairs_does_not_matter():
    chain = [(5, 4), (3, 4), (2, 1), (1, 5)]
    assert {tuple(sorted(components(order).items())) for order in permutations(chain)} == {
        tuple((member, 1) for member in range(1, 6))
    }


def test_a_long_chain_is_one_component():
    assert set(components((number + 1, number) for number in range(100_000)).values()) == {0}


def test_nothing_hangs_together_without_pairs():
    assert components([]) == {}
