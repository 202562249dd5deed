from lake_rows import day, filled, frame, rows

from lake.query import answer

RECORD = ("d", "a.jpg", "i1", "o1")
ISSUE = ("d", "a.jpg", "truncated", "/p", 1, True, False, day(1))


def counts(records=(), labels=(), issues=()):
    """Return counts of records, of labels (dataset, observation_id, species_id, status, day) and of issues."""
    frames = {
        "image_records": frame("dataset image_name image_id observation_id", *records),
        "labels": filled("labels", "dataset observation_id species_id status labelled_at", *labels),
        "ingest_issues": filled(
            "ingest_issues",
            "dataset image_name kind source_uri row_count is_set_aside is_on_record last_seen_at",
            *issues,
        ),
    }
    return answer(None, "audit/dataset_counts", frames=frames)


def set_aside(*issues, records=()):
    return rows(counts(records, issues=issues), "set_aside")


def test_two_records_of_the_same_bytes_are_two_photographs_and_one_image():
    found = counts([RECORD, ("d", "b.jpg", "i1", "o2")])
    assert rows(found, "dataset photographs images observations") == [("d", 2, 1, 2)]


def test_a_corrected_label_no_longer_counts():
    found = counts([RECORD], [("d", "o1", "wrong", "given", day(1)), ("d", "o1", "right", "given", day(2))])
    assert rows(found, "labelled_observations species") == [(1, 1)]


def test_a_withdrawn_label_no_longer_counts():
    found = counts([RECORD], [("d", "o1", "s1", "given", day(1)), ("d", "o1", "s1", "withdrawn", day(2))])
    assert rows(found, "labelled_observations species") == [(0, 0)]


def test_all_species_of_a_quadrat_count():
    found = counts([RECORD], [("d", "o1", "s1", "given", day(1)), ("d", "o1", "s2", "given", day(1))])
    assert rows(found, "labelled_observations species") == [(1, 2)]


def test_a_label_of_another_data_set_does_not_outdate_one():
    found = counts(
        [RECORD, ("e", *RECORD[1:])], [("d", "o1", "s1", "given", day(1)), ("e", "o1", "s2", "given", day(2))]
    )
    assert rows(found, "dataset species") == [("d", 1), ("e", 1)]


def test_an_issue_counts_as_many_rows_as_it_stands_for():
    assert set_aside((*ISSUE[:4], 3, *ISSUE[5:])) == [(3,)]


def test_the_last_word_of_a_source_on_a_name_and_reason_counts():
    later = (*ISSUE[:4], 5, True, False, day(2))
    assert set_aside(later, ISSUE) == [(5,)]


def test_what_several_sources_and_reasons_set_aside_adds_up():
    others = (*ISSUE[:3], "/q", *ISSUE[4:]), (*ISSUE[:2], "unreadable", *ISSUE[3:]), ("d", "b.jpg", *ISSUE[2:])
    assert set_aside(ISSUE, *others) == [(4,)]


def test_a_note_on_what_is_kept_is_not_set_aside():
    assert set_aside((*ISSUE[:5], False, True, day(1)), records=[RECORD]) == [(0,)]


def test_what_was_mended_is_no_longer_set_aside():
    assert set_aside(ISSUE, records=[RECORD]) == [(0,)]


def test_a_record_of_another_data_set_mends_nothing():
    found = counts([("e", *RECORD[1:])], issues=[ISSUE])
    assert rows(found, "dataset set_aside") == [("d", 1), ("e", 0)]


def test_what_was_set_aside_of_a_known_name_stays_set_aside():
    issue = (*ISSUE[:2], "name_with_other_content", "/p", 1, True, True, day(1))
    assert set_aside(issue, records=[RECORD]) == [(1,)]


def test_a_data_set_of_which_nothing_was_kept_is_listed():
    found = counts(issues=[ISSUE])
    assert rows(found, "dataset photographs labelled_observations set_aside") == [("d", 0, 0, 1)]
