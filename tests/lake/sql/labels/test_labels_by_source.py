from datetime import UTC, datetime

from lake_rows import frame, rows

from lake.query import answer

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def test_the_last_word_of_a_source_is_its_own_whatever_others_said_since():
    labels = frame(
        "dataset observation_id species_id source labelled_at",
        ("d", "o1", "s1", "a.csv", EARLY),
        ("d", "o1", "s2", "b.csv", LATE),
        ("e", "o1", "s3", "a.csv", LATE),
    )
    asked = {"frames": {"labels": labels}, "dataset": "d"}
    assert rows(answer(None, "labels/labels_by_source", **asked, source="a.csv")) == [("o1", "s1")]
    assert rows(answer(None, "labels/labels_by_source", **asked, source="b.csv")) == [("o1", "s2")]


def test_a_source_that_corrects_itself_is_taken_at_its_last_word():
    labels = frame(
        "dataset observation_id species_id source labelled_at",
        ("d", "o1", "s1", "a.csv", EARLY),
        ("d", "o1", "s2", "a.csv", EARLY),
        ("d", "o1", "s2", "a.csv", LATE),
    )
    found = answer(None, "labels/labels_by_source", frames={"labels": labels}, dataset="d", source="a.csv")
    assert rows(found) == [("o1", "s2")]
