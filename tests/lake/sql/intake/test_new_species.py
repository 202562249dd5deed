from datetime import timedelta

import pytest
from lake_rows import day, filled, frame, rows, staged

from lake.query import answer

FACTS = "scientific_name genus family is_venomous gbif_id"
POA = ("Poa annua", "Poa", "Poaceae", False, "27")


def species(*said, outcomes=((2, "o1", "new"),), held=(), columns=f"species_id {FACTS}"):
    """Return species of (row_number, species_id, name, genus, family, is_venomous, gbif_id), the rest null."""
    padded = [(*row, *[None] * 5)[:7] for row in said]
    frames = {
        "outcomes": frame("row_number observation_id outcome", *outcomes),
        "source_species": staged("source_species", f"row_number species_id {FACTS}", *padded),
        "species": filled("species", f"species_id {FACTS} source recorded_at", *held),
    }
    return rows(answer(None, "intake/new_species", frames=frames, source_uri="me", now=day(5)), columns)


def test_a_new_species_is_recorded_with_all_that_is_said():
    assert species((2, "s1", *POA)) == [("s1", *POA)]


def test_what_the_source_said_last_is_not_said_again():
    assert species((2, "s1", *POA), held=[("s1", *POA, "me", day(1))]) == []
    assert species((2, "s1"), held=[("s1", *[None] * 5, "me", day(1))]) == []


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_species_of_which_something_else_is_said_is_recorded_again(place, is_empty):
    other = None if is_empty else (not POA[place] if place == 3 else f"another {POA[place]}")
    before = (*POA[:place], other, *POA[place + 1 :])
    assert species((2, "s1", *POA), held=[("s1", *before, "me", day(1))]) == [("s1", *POA)]


def test_only_the_last_word_of_the_source_counts():
    old = ("s1", "Poa", *POA[1:], "me", day(1))
    new = ("s1", *POA, "me", day(2))
    assert species((2, "s1", *POA), held=[old, new]) == []
    assert species((2, "s1", "Poa", *POA[1:]), held=[old, new]) == [("s1", "Poa", *POA[1:])]


def test_the_word_of_another_source_is_not_its_own():
    assert species((2, "s1", *POA), held=[("s1", *POA, "other", day(1))]) == [("s1", *POA)]


@pytest.mark.parametrize(("outcome", "is_recorded"), [("known", True), ("set_aside", False), ("unread", False)])
def test_a_species_without_a_photograph_in_the_lake_is_not_recorded(outcome, is_recorded):
    assert bool(species((2, "s1"), outcomes=[(2, "o1", outcome)])) == is_recorded


def test_a_row_that_is_set_aside_speaks_for_an_observation_that_is_kept():
    outcomes = [(2, "o1", "new"), (3, "o1", "set_aside"), (4, None, "set_aside")]
    assert species((3, "s1"), (4, "s2"), outcomes=outcomes, columns="species_id") == [("s1",)]


def test_a_species_that_is_said_of_no_row_is_recorded():
    assert species((None, "s1", *POA), outcomes=[]) == [("s1", *POA)]


def test_the_name_that_most_rows_give_stands():
    said = (2, "s1", "A a"), (2, "s1", "B b"), (2, "s1", "B b"), (2, "s1")
    assert species(*said, columns="scientific_name") == [("B b",)]


def test_of_names_that_are_given_as_often_the_first_by_letters_stands():
    assert species((2, "s1", "B b"), (2, "s1", "A a"), columns="scientific_name") == [("A a",)]


def test_genus_and_family_are_those_of_the_rows_that_give_the_name():
    said = [(2, "s1", "B b", "B", "Bae"), (2, "s1", "B b", "B", "Bae"), (2, "s1", "A a", "A", "Aae")]
    assert species(*said, columns="scientific_name genus family") == [("B b", "B", "Bae")]


def test_rows_without_a_name_add_what_they_know():
    said = (2, "s1", "A a"), (2, "s1", None, "A", "Aae", None, "7")
    assert species(*said, columns="scientific_name genus family gbif_id") == [("A a", "A", "Aae", "7")]


def test_of_facts_that_differ_the_first_by_letters_stands():
    said = (2, "s1", "A a", "B", "B", None, "8"), (2, "s1", "A a", "A", "A", None, "7")
    assert species(*said, columns="genus family gbif_id") == [("A", "A", "7")]


def test_a_species_is_venomous_where_any_row_says_so():
    said = [(2, "s1", "A a", None, None, venomous) for venomous in (False, True, None)]
    assert species(*said, columns="is_venomous") == [(True,)]


def test_a_word_is_later_than_all_that_was_said_before_whatever_the_clock_says():
    held = [("s9", "Poa", *POA[1:], "another", day(9))]
    found = species((2, "s1", *POA), held=held, columns="species_id recorded_at")
    assert found == [("s1", day(9) + timedelta(microseconds=1))]
