import pytest
from lake_rows import day, filled, frame, offenders

NEW = (2, "a.jpg", "i1", "/p/a.jpg", "new", None)
LOST = (2, "a.jpg", None, "/p/a.jpg", "set_aside", "truncated")
FILE = (None, "a.jpg", None, "/p/a.jpg", "known", None)
RECORD = ("d", "a.jpg", "i1", "/p/a.jpg")
ISSUE = ("d", "/p.csv", "a.jpg", "truncated", 1, True, day(1))


def missed(*outcomes, records=(), issues=()):
    frames = {
        "outcomes": frame("row_number image_name image_id location outcome kind", *outcomes),
        "image_records": frame("dataset image_name image_id source_uri", *records),
        "ingest_issues": filled(
            "ingest_issues", "dataset source_uri image_name kind row_count is_set_aside last_seen_at", *issues
        ),
    }
    return offenders("every_found_row_is_accounted_for", frames, dataset="d", source_uri="/p.csv")


@pytest.mark.parametrize("outcome", ["new", "known"])
def test_a_kept_row_is_on_record_with_its_bytes(outcome):
    row = (*NEW[:4], outcome, None)
    assert missed(row, records=[RECORD]) == []
    assert missed(row) == [("a.jpg", outcome, None)]


@pytest.mark.parametrize("other", [("e", *RECORD[1:]), ("d", "b.jpg", *RECORD[2:]), ("d", "a.jpg", "i2", "/p/a.jpg")])
def test_a_record_of_another_data_set_name_or_bytes_does_not_account_for_it(other):
    assert missed(NEW, records=[other]) == [("a.jpg", "new", None)]


def test_a_known_file_that_no_row_names_is_on_record_by_its_place():
    assert missed(FILE, records=[("d", "another name", "i9", "/p/a.jpg")]) == []
    assert missed(FILE, records=[("d", "a.jpg", "i9", "/q/a.jpg")]) == [("a.jpg", "known", None)]
    assert missed(FILE, records=[("e", "a.jpg", "i9", "/p/a.jpg")]) == [("a.jpg", "known", None)]


def test_a_row_that_waits_is_found():
    assert missed((*NEW[:2], None, NEW[3], "unread", None), records=[RECORD]) == [("a.jpg", "unread", None)]


def test_what_is_set_aside_is_an_issue_of_its_source():
    assert missed(LOST, issues=[ISSUE]) == []
    assert missed(LOST) == [("a.jpg", "set_aside", "truncated")]


@pytest.mark.parametrize(
    "other",
    [
        ("e", *ISSUE[1:]),
        ("d", "/q.csv", *ISSUE[2:]),
        (*ISSUE[:2], "b.jpg", *ISSUE[3:]),
        (*ISSUE[:3], "unreadable", *ISSUE[4:]),
        (*ISSUE[:5], False, day(1)),
    ],
)
def test_an_issue_of_another_data_set_source_name_or_reason_and_a_note_do_not_account_for_it(other):
    assert missed(LOST, issues=[other]) == [("a.jpg", "set_aside", "truncated")]


def test_an_issue_stands_for_as_many_rows_as_were_found():
    again = (3, "a.jpg", "i1", *LOST[3:])
    assert missed(LOST, again, issues=[ISSUE]) == [("a.jpg", "set_aside", "truncated")]
    assert missed(LOST, again, issues=[ISSUE, (*ISSUE[:4], 2, True, day(2))]) == []
    assert missed(LOST, issues=[ISSUE, (*ISSUE[:4], 2, True, day(2))]) == [("a.jpg", "set_aside", "truncated")]
