import pytest
from lake_rows import frame, rows

from lake.query import answer


def circles(*changes):
    frames = {"current_changes": frame("old_species_id new_species_id", *changes)}
    return [species for (species,) in rows(answer(None, "audit/taxonomic_circles", frames=frames))]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([("a", "a")], ["a"]),
        ([("a", "b"), ("b", "a")], ["a", "b"]),
        ([("b", "c"), ("a", "b"), ("c", "a")], ["a", "b", "c"]),
    ],
)
def test_species_that_would_turn_into_themselves_are_found(changes, found):
    assert circles(*changes) == found


def test_a_chain_is_no_circle():
    assert circles(("a", "b"), ("b", "c")) == []


def test_two_ways_to_one_species_are_no_circle():
    assert circles(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")) == []


def test_a_species_that_leads_into_a_circle_is_none_of_it():
    assert circles(("x", "a"), ("a", "b"), ("b", "a")) == ["a", "b"]


def test_a_split_that_leads_back_is_a_circle():
    assert circles(("a", "b"), ("a", "c"), ("c", "a")) == ["a", "c"]
