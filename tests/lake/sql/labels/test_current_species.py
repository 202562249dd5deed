import pytest
from lake_rows import day, filled, rows

from lake.query import answer

FACTS = "scientific_name genus family is_venomous gbif_id"


def current(columns, *words):
    """Return what is known of species by words (species_id, day, source, value of the column)."""
    given = filled("species", f"species_id recorded_at source {columns}", *words)
    return rows(answer(None, "labels/current_species", frames={"species": given}), f"species_id {columns}")


def test_two_species_may_bear_one_name():
    found = current("scientific_name", ("2", day(1), "a", "Poa annua"), ("1", day(1), "a", "Poa annua"))
    assert found == [("1", "Poa annua"), ("2", "Poa annua")]


@pytest.mark.parametrize("column", FACTS.split())
def test_the_latest_word_of_any_source_holds(column):
    old, new = (True, False) if column == "is_venomous" else ("b", "a")
    assert current(column, ("1", day(2), "a", new), ("1", day(1), "b", old)) == [("1", new)]


@pytest.mark.parametrize("column", FACTS.split())
def test_a_word_that_says_nothing_of_a_column_leaves_it(column):
    value = True if column == "is_venomous" else "b"
    assert current(column, ("1", day(1), "a", value), ("1", day(2), "b", None)) == [("1", value)]


def test_each_column_has_its_own_last_word():
    words = ("1", day(1), "a", "Poa annua", "Poa"), ("1", day(2), "b", None, "Festuca")
    assert current("scientific_name genus", *words) == [("1", "Poa annua", "Festuca")]


def test_of_words_at_one_moment_that_of_the_last_source_by_letters_holds():
    assert current("genus", ("1", day(1), "b", "B"), ("1", day(1), "a", "A")) == [("1", "B")]


def test_without_a_name_the_id_stands_for_it_and_the_rest_is_unknown():
    assert current(FACTS, ("1", day(1), "a", *[None] * 5)) == [("1", "1", None, None, None, None)]
