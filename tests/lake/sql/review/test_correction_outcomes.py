import pytest
from lake_rows import day, filled, frame, rows

from lake.query import answer


def outcomes(*said, held=(), columns="row_number outcome kind", source="review", takes_new_species=False):
    """Return what becomes of corrections (row_number, observation_id, species_ids) of observations o1 and o2.

    Labels that are held are (observation_id, species_id, source, status, day[, data set]). Known are species s1 to s3.
    """
    words = [(dataset, *word) for *word, dataset in ((*word, "d")[:6] for word in held)]
    names = "row_number observation_id species_ids reviewer note kind detail"
    frames = {
        "corrections": frame(names, *(one if len(one) > 3 else (*one, None, None, None, None) for one in said)),
        "image_records": filled("image_records", "dataset observation_id", ("d", "o1"), ("d", "o2"), ("e", "o3")),
        "labels": filled("labels", "dataset observation_id species_id source status labelled_at", *words),
        "species": filled("species", "species_id", ("s1",), ("s2",)),
        "taxon_changes": filled("taxon_changes", "old_species_id new_species_id", ("s2", "s3")),
    }
    asked = {"dataset": "d", "source": source, "takes_new_species": takes_new_species}
    return rows(answer(None, "review/correction_outcomes", frames=frames, **asked), columns)


def test_a_species_of_an_observation_is_new_once():
    assert outcomes((2, "o1", ["s1"]), (3, "o1", ["s1"])) == [(2, "new", None), (3, "known", None)]


def test_a_row_that_nobody_has_filled_in_is_skipped_whatever_it_names():
    assert outcomes((2, "o1", []), (3, "o9", []), (4, None, [])) == [(n, "skipped", None) for n in (2, 3, 4)]


def test_an_observation_of_another_data_set_and_none_are_set_aside():
    assert outcomes((2, "o3", ["s1"]), (3, None, ["s1"])) == [
        (2, "set_aside", "unknown_observation"),
        (3, "set_aside", "row_without_observation"),
    ]


def test_a_species_is_known_by_its_row_by_a_label_or_by_a_change():
    held = [("o2", "s7", "/a.csv", "given", day(1))]
    found = outcomes((2, "o1", ["s3"]), (3, "o2", ["s7"]), held=held)
    assert [outcome for _, outcome, _ in found] == ["new", "new"]


def test_a_species_that_nothing_is_known_of_is_set_aside_unless_it_is_allowed():
    row = (2, "o1", ["s1", "s8", "s9"])
    assert outcomes(row, columns="outcome kind detail") == [
        ("set_aside", "unknown_species", "nothing is known of the species s8, s9; --new-species takes it")
    ]
    assert outcomes(row, columns="outcome unknown_ids", takes_new_species=True) == [("new", ["s8", "s9"])]


def test_of_rows_that_contradict_each_other_none_counts_and_their_lines_are_named():
    found = outcomes((2, "o1", ["s1"]), (3, "o2", ["s1"]), (5, "o1", ["s2"]), columns="outcome kind detail")
    why = "the lines 2, 5 say different species of the observation o1"
    aside = ("set_aside", "label_contradicted", why)
    assert found == [aside, ("new", None, None), aside]


def test_a_row_that_is_set_aside_contradicts_no_other():
    assert outcomes((2, "o1", ["s1"]), (3, "o1", ["s9"])) == [(2, "new", None), (3, "set_aside", "unknown_species")]


def test_what_the_source_itself_could_not_read_stays_so():
    row = (2, None, [], None, None, "row_malformed", "two fields")
    assert outcomes(row, columns="outcome kind detail") == [("set_aside", "row_malformed", "two fields")]


def test_what_holds_by_its_own_word_is_known():
    held = [("o1", "s1", "review", "given", day(2)), ("o1", "s2", "review", "given", day(2))]
    assert outcomes((2, "o1", ["s1", "s2"]), held=held) == [(2, "known", None)]
    assert outcomes((2, "o1", ["s1"]), held=held) == [(2, "new", None)]
    assert outcomes((2, "o1", ["s1", "s2"]), held=[(*one, "e") for one in held]) == [(2, "new", None)]


@pytest.mark.parametrize("later", [("o1", "s2", "/a.csv", "given", day(3)), ("o1", "s2", "anna", "given", day(3))])
def test_what_somebody_else_has_said_since_can_be_corrected_again(later):
    assert outcomes((2, "o1", ["s1"]), held=[("o1", "s1", "review", "given", day(2)), later]) == [(2, "new", None)]


def test_what_another_source_says_can_be_confirmed():
    assert outcomes((2, "o1", ["s1"]), held=[("o1", "s1", "/a.csv", "given", day(1))]) == [(2, "new", None)]


def test_a_word_that_was_taken_back_since_changes_nothing():
    held = [("o1", "s1", "review", "given", day(2)), ("o1", "s2", "/a.csv", "withdrawn", day(3))]
    assert outcomes((2, "o1", ["s1"]), held=held) == [(2, "known", None)]
