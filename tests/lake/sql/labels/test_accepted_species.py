from lake_rows import frame, rows

from lake.query import answer


def accepted(*changes):
    frames = {"current_changes": frame("old_species_id new_species_id", *changes)}
    return rows(answer(None, "labels/accepted_species", frames=frames))


def test_a_renamed_species_is_the_new_one():
    assert accepted(("a", "b")) == [("a", "b")]


def test_merged_species_are_the_same_one():
    assert accepted(("b", "c"), ("a", "c")) == [("a", "c"), ("b", "c")]


def test_changes_of_changes_are_followed_to_the_last():
    assert accepted(("b", "c"), ("a", "b"), ("c", "d")) == [("a", "d"), ("b", "d"), ("c", "d")]


def test_a_species_that_was_split_is_none_of_the_new_ones():
    assert accepted(("a", "b"), ("a", "c")) == [("a", None)]


def test_a_species_that_became_one_that_was_split_is_none_of_the_new_ones():
    assert accepted(("x", "a"), ("a", "b"), ("a", "c")) == [("a", None), ("x", None)]


def test_what_became_of_the_parts_of_a_split_says_nothing_of_the_whole():
    assert accepted(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")) == [("a", None), ("b", "d"), ("c", "d")]


def test_a_circle_does_not_run_for_ever():
    assert [species for species, _ in accepted(("a", "b"), ("b", "a"))] == ["a", "b"]
