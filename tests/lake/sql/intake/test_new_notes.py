from datetime import timedelta

import pytest
from lake_rows import day, filled, frame, rows

from lake.query import answer


def notes(*records, labels=(), known=(), columns="image_name kind detail"):
    """Return notes on records (image_name, image_id[, data set]); each photograph is an observation of its own."""
    given = [(dataset, name, image, name) for name, image, dataset in ((*record, "d")[:3] for record in records)]
    frames = {
        "image_records": frame("dataset image_name image_id observation_id", *given),
        "current_labels": frame("observation_id species_id", *labels),
        "ingest_issues": filled("ingest_issues", "dataset image_name kind detail first_seen_at last_seen_at", *known),
    }
    return rows(answer(None, "intake/new_notes", frames=frames, dataset="d", now=day(5)), columns)


SHARED = ("a.jpg", "i1"), ("b.jpg", "i1")
NOTED = ("d", "b.jpg", "duplicate_content", "the same bytes as a.jpg", day(1), day(1))


def test_bytes_of_one_name_are_not_noted():
    assert notes(("a.jpg", "i1"), ("b.jpg", "i2"), labels=[("a.jpg", "s1"), ("a.jpg", "s2")]) == []


def test_the_same_bytes_are_noted_under_every_name_but_the_first():
    assert notes(*SHARED, ("c.jpg", "i1")) == [
        ("b.jpg", "duplicate_content", "the same bytes as a.jpg"),
        ("c.jpg", "duplicate_content", "the same bytes as a.jpg"),
    ]


def test_bytes_of_another_data_set_are_not_noted():
    assert notes(("a.jpg", "i1", "e"), ("b.jpg", "i1")) == []


def test_a_note_is_of_a_photograph_that_is_kept():
    columns = "row_count is_set_aside is_on_record attempts first_seen_at last_seen_at"
    assert notes(*SHARED, columns=columns) == [(1, False, True, 0, day(5), day(5))]


def test_bytes_that_are_labelled_as_two_species_are_noted_under_every_name():
    assert notes(*SHARED, labels=[("b.jpg", "s1"), ("a.jpg", "s2")]) == [
        ("a.jpg", "content_of_two_species", "its bytes are labelled s1 and s2"),
        ("b.jpg", "content_of_two_species", "its bytes are labelled s1 and s2"),
        ("b.jpg", "duplicate_content", "the same bytes as a.jpg"),
    ]


def test_a_quadrat_and_a_photograph_of_one_of_its_species_differ():
    found = notes(*SHARED, labels=[("a.jpg", "s2"), ("a.jpg", "s1"), ("b.jpg", "s1")], columns="detail")
    assert found[0] == ("its bytes are labelled s1 and s1 + s2",)


@pytest.mark.parametrize(("count", "said"), [(3, "s1 and s2 and s3"), (5, "s1 and s2 and s3 and 2 more")])
def test_of_bytes_of_many_species_three_are_named(count, said):
    records = [(f"{number}.jpg", "i1") for number in range(1, count + 1)]
    labels = [(f"{number}.jpg", f"s{number}") for number in range(1, count + 1)]
    found = notes(*records, labels=labels)
    assert found[0] == ("1.jpg", "content_of_two_species", f"its bytes are labelled {said}")


def test_bytes_that_are_labelled_alike_or_only_once_do_not_contradict():
    for labels in ([("a.jpg", "s1"), ("b.jpg", "s1")], [("a.jpg", "s1")], []):
        assert notes(*SHARED, labels=labels, columns="kind") == [("duplicate_content",)]


def test_what_was_noted_is_not_noted_again():
    assert notes(*SHARED, known=[NOTED]) == []


def test_a_note_that_reads_otherwise_now_is_noted_with_the_day_on_which_it_was_first_seen():
    known = [(*NOTED[:3], "the same bytes as 0.jpg", day(1), day(2)), NOTED]
    assert notes(*SHARED, known=known, columns="detail first_seen_at last_seen_at") == [
        ("the same bytes as a.jpg", day(1), day(5))
    ]


def test_issues_of_another_data_set_or_kind_are_not_the_note():
    for other in (("e", *NOTED[1:]), (*NOTED[:2], "duplicate_name", *NOTED[3:])):
        assert notes(*SHARED, known=[other], columns="first_seen_at") == [(day(5),)]


def test_a_note_is_later_than_all_issues_of_its_data_set_whatever_the_clock_says():
    known = ("d", "z.jpg", "truncated", "", day(9), day(9))
    assert notes(*SHARED, known=[known], columns="last_seen_at") == [(day(9) + timedelta(microseconds=1),)]
    assert notes(*SHARED, known=[("e", *known[1:])], columns="last_seen_at") == [(day(5),)]
