from lake_rows import day, frame, rows

from lake.query import answer


def counts(records=(), labels=(), issues=()):
    frames = {
        "image_records": frame("dataset image_name image_id observation_id ingested_at", *records),
        "labels": frame("dataset observation_id species_id labelled_at", *labels),
        "ingest_issues": frame("dataset image_name kind row_count first_seen_at", *issues),
    }
    return answer(None, "audit/dataset_counts", frames=frames)


def test_two_records_of_the_same_bytes_are_two_photographs_and_one_image():
    found = counts([("d", "a.jpg", "i1", "o1", day(1)), ("d", "b.jpg", "i1", "o2", day(1))])
    assert rows(found, "dataset photographs images observations") == [("d", 2, 1, 2)]


def test_a_corrected_label_no_longer_counts():
    found = counts([("d", "a.jpg", "i1", "o1", day(1))], [("d", "o1", "wrong", day(1)), ("d", "o1", "right", day(2))])
    assert rows(found, "labelled_observations species") == [(1, 1)]


def test_a_label_of_another_data_set_does_not_outdate_one():
    found = counts(
        [("d", "a.jpg", "i1", "o1", day(1)), ("e", "a.jpg", "i1", "o1", day(1))],
        [("d", "o1", "s1", day(1)), ("e", "o1", "s2", day(2))],
    )
    assert rows(found, "dataset species") == [("d", 1), ("e", 1)]


def test_an_issue_counts_as_many_rows_as_it_stands_for():
    assert rows(counts(issues=[("d", "a.jpg", "duplicate_name", 3, day(1))]), "set_aside") == [(3,)]


def test_what_was_mended_is_no_longer_set_aside():
    found = counts([("d", "a.jpg", "i1", "o1", day(2))], issues=[("d", "a.jpg", "truncated", 1, day(1))])
    assert rows(found, "set_aside") == [(0,)]


def test_what_was_set_aside_of_a_known_name_stays_set_aside():
    record = ("d", "a.jpg", "i1", "o1", day(1))
    for kind in ("not_embedded", "name_with_other_content"):
        assert rows(counts([record], issues=[("d", "a.jpg", kind, 1, day(2))]), "set_aside") == [(1,)]
    # within one shard both are written at the same moment
    assert rows(counts([record], issues=[("d", "a.jpg", "duplicate_name", 1, day(1))]), "set_aside") == [(1,)]


def test_a_data_set_of_which_nothing_was_kept_is_listed():
    found = counts(issues=[("d", "a.jpg", "truncated", 1, day(1))])
    assert rows(found, "dataset photographs labelled_observations set_aside") == [("d", 0, 0, 1)]
