from datetime import timedelta

import pytest
from lake_rows import day, filled, frame, rows, staged

from lake.query import answer


def labels(outcomes, said, held=(), columns="observation_id species_id status"):
    """Return labels of outcomes (row_number, observation_id, outcome[, kind]) and species (row_number, species_id).

    Labels that are held are (observation_id, species_id, source, status, day[, data set]).
    """
    words = [(dataset, *word) for *word, dataset in ((*word, "d")[:6] for word in held)]
    frames = {
        "outcomes": frame("row_number observation_id outcome kind", *((*one, None)[:4] for one in outcomes)),
        "source_species": staged("source_species", "row_number species_id", *said),
        "labels": filled("labels", "dataset observation_id species_id source status labelled_at", *words),
    }
    return rows(answer(None, "intake/new_labels", frames=frames, dataset="d", source_uri="me", now=day(5)), columns)


NEW = [(2, "o1", "new")]


def test_what_a_source_says_of_a_new_photograph_is_a_label():
    found = labels(NEW, [(2, "s1")], columns="observation_id species_id status labelled_at")
    assert found == [("o1", "s1", "given", day(5))]


def test_what_the_source_said_last_is_not_said_again():
    assert labels([(2, "o1", "known")], [(2, "s1")], [("o1", "s1", "me", "given", day(1))]) == []


def test_a_changed_set_is_written_whole():
    held = [("o1", "s1", "me", "given", day(1)), ("o1", "s2", "me", "given", day(1))]
    assert labels(NEW, [(2, "s1"), (2, "s3")], held) == [("o1", "s1", "given"), ("o1", "s3", "given")]
    assert labels(NEW, [(2, "s1")], held) == [("o1", "s1", "given")]


def test_only_the_last_word_of_the_source_counts():
    held = [("o1", "s2", "me", "given", day(1)), ("o1", "s1", "me", "given", day(2))]
    assert labels(NEW, [(2, "s1")], held) == []
    assert labels(NEW, [(2, "s2")], held) == [("o1", "s2", "given")]


def test_an_observation_has_the_species_of_all_its_rows_once():
    outcomes = [(2, "o1", "new"), (3, "o1", "known"), (4, "o1", "set_aside")]
    assert labels(outcomes, [(2, "s1"), (3, "s1"), (4, "s2")]) == [("o1", "s1", "given"), ("o1", "s2", "given")]


@pytest.mark.parametrize("outcome", ["set_aside", "unread"])
def test_an_observation_without_a_photograph_in_the_lake_is_not_labelled(outcome):
    assert labels([(2, "o1", outcome)], [(2, "s1")]) == []


def test_a_row_without_an_observation_and_a_species_without_a_row_label_nothing():
    assert labels([(2, None, "known")], [(2, "s1"), (None, "s2")]) == []


def test_a_label_that_a_source_no_longer_gives_is_withdrawn_once():
    given = ("o1", "s1", "me", "given", day(1))
    assert labels(NEW, [], [given]) == [("o1", "s1", "withdrawn")]
    assert labels(NEW, [], [given, ("o1", "s1", "me", "withdrawn", day(2))]) == []


def test_a_label_that_was_withdrawn_can_be_given_again():
    held = [("o1", "s1", "me", "given", day(1)), ("o1", "s1", "me", "withdrawn", day(2))]
    assert labels(NEW, [(2, "s1")], held) == [("o1", "s1", "given")]


def test_an_observation_that_the_source_does_not_name_keeps_its_labels():
    assert labels(NEW, [(2, "s1")], [("o2", "s9", "me", "given", day(1))]) == [("o1", "s1", "given")]


def test_of_two_sources_neither_says_its_word_again_because_the_other_did():
    held = [("o1", "s1", "me", "given", day(1)), ("o1", "s2", "other", "given", day(2))]
    assert labels(NEW, [(2, "s1")], held) == []


def test_the_word_of_another_source_is_not_withdrawn():
    assert labels(NEW, [], [("o1", "s1", "other", "given", day(1))]) == []


def test_labels_of_another_data_set_are_not_its_own():
    assert labels(NEW, [(2, "s1")], [("o1", "s1", "me", "given", day(1), "e")]) == [("o1", "s1", "given")]


def test_a_label_is_later_than_all_others_of_its_data_set_whatever_the_clock_says():
    held = ("o2", "s9", "other", "given", day(9))
    assert labels(NEW, [(2, "s1")], [held], "labelled_at") == [(day(9) + timedelta(microseconds=1),)]
    assert labels(NEW, [(2, "s1")], [(*held, "e")], "labelled_at") == [(day(5),)]


def test_who_was_beaten_to_all_names_of_an_observation_withdraws_its_word():
    held, beaten = [("o1", "s1", "me", "given", day(1))], (2, "o1", "set_aside", "name_with_other_content")
    assert labels([beaten], [(2, "s1")], held) == [("o1", "s1", "withdrawn")]
    for kind in ("row_without_file", "record_changed"):
        assert labels([(2, "o1", "set_aside", kind)], [(2, "s1")], held) == []


def test_a_row_about_another_photograph_of_that_name_labels_nothing():
    rows_of = [
        (2, "o1", "known"),
        (3, "o1", "set_aside", "name_with_other_content"),
        (4, "o1", "set_aside", "truncated"),
    ]
    found = labels(rows_of, [(2, "s1"), (3, "s2"), (4, "s3")])
    assert [species for _, species, _ in found] == ["s1", "s3"]


X, REVIEWED = ("o1", "s1", "/a.csv", "given", day(1)), ("o1", "s9", "review", "given", day(2))


def test_what_a_review_has_corrected_is_not_undone_by_the_source_that_it_corrected():
    held = [("o1", "s1", "me", "given", day(1)), REVIEWED]
    assert labels([(2, "o1", "known")], [(2, "s1")], held) == []


def test_a_source_that_changes_its_word_after_a_review_is_heard():
    held = [("o1", "s1", "me", "given", day(1)), REVIEWED]
    assert labels(NEW, [(2, "s2")], held) == [("o1", "s2", "given")]
    back = [*held, ("o1", "s2", "me", "given", day(3))]
    assert labels(NEW, [(2, "s1")], back) == [("o1", "s1", "given")]


def test_what_a_review_has_overruled_is_no_news_from_a_source_that_says_it_for_the_first_time():
    assert labels(NEW, [(2, "s1")], [X, REVIEWED]) == []
    assert labels(NEW, [(2, "s2")], [X, REVIEWED]) == [("o1", "s2", "given")]


def test_a_first_word_is_held_against_the_whole_set_that_was_overruled():
    held = [X, ("o1", "s2", "/a.csv", "given", day(1)), REVIEWED]
    assert labels(NEW, [(2, "s1"), (2, "s2")], held) == []
    assert labels(NEW, [(2, "s1")], held) == [("o1", "s1", "given")]


def test_only_a_review_overrules_and_only_what_was_said_before_it():
    by_a_source = ("o1", "s9", "/b.csv", "given", day(2))
    assert labels(NEW, [(2, "s1")], [X, by_a_source]) == [("o1", "s1", "given")]
    later = ("o1", "s1", "/a.csv", "given", day(3))
    assert labels(NEW, [(2, "s1")], [REVIEWED, later]) == [("o1", "s1", "given")]
    assert labels(NEW, [(2, "s1")], [X, (*REVIEWED, "e")]) == [("o1", "s1", "given")]
