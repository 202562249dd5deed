import pytest
from lake_rows import filled, frame, rows, staged

from lake.query import answer

ROW = "row_number image_name observation_id split_tag location byte_count modified_ns kind detail"
A = (2, "a.jpg", "o1", None, "/p/a.jpg", 5, 7, None, None)
READ = ("/p/a.jpg", 5, 7, 1, "i1", None, None)
RECORD = ("d", "a.jpg", "i1", "o1", None, "/p/a.jpg")
FILE = ("a.jpg", "/p/a.jpg", None, True, None, None)


def outcomes(matched=(), files=(), reads=(), records=(), issues=(), pending=(), columns="image_name outcome kind"):
    frames = {
        "files_to_read": frame("location byte_count modified_ns attempt", *pending),
        "matched_rows": frame(ROW, *matched),
        "source_files": staged("source_files", "file_name location position is_image kind detail", *files),
        "file_reads": filled("file_reads", "location byte_count modified_ns attempt image_id kind detail", *reads),
        "image_records": filled(
            "image_records", "dataset image_name image_id observation_id split_tag source_uri", *records
        ),
        "ingest_issues": filled("ingest_issues", "dataset source_uri image_name kind", *issues),
    }
    return sorted(
        rows(answer(None, "intake/outcomes", frames=frames, dataset="d", source_uri="/p.csv"), columns), key=repr
    )


def test_a_row_whose_file_was_read_comes_on_record():
    found = outcomes([A], [FILE], [READ], columns="row_number image_id outcome kind is_on_record attempts")
    assert found == [(2, "i1", "new", None, False, 1)]


def test_a_row_whose_file_was_not_read_waits():
    assert outcomes([A], columns="image_id outcome kind attempts") == [(None, "unread", None, 0)]


@pytest.mark.parametrize("read", [("/p/b.jpg", 5, 7), ("/p/a.jpg", 6, 7), ("/p/a.jpg", 5, 8)])
def test_what_was_read_of_another_place_size_or_time_does_not_count(read):
    assert outcomes([A], reads=[(*read, *READ[3:])]) == [("a.jpg", "unread", None)]


def test_a_row_that_is_on_record_as_it_stands_is_known():
    found = outcomes([A], reads=[READ], records=[RECORD], columns="outcome kind is_on_record")
    assert found == [("known", None, True)]


def test_a_record_of_another_data_set_does_not_count():
    assert outcomes([A], reads=[READ], records=[("e", *RECORD[1:])]) == [("a.jpg", "new", None)]


def test_a_row_that_was_set_aside_before_reading_stays_so():
    row = (*A[:7], "duplicate_name", "row 2 names it once more")
    found = outcomes([row], reads=[READ], records=[RECORD], columns="outcome kind detail is_on_record image_id")
    assert found == [("set_aside", "duplicate_name", "row 2 names it once more", True, None)]


def test_a_file_that_was_refused_sets_its_row_aside():
    refused = (*READ[:4], None, "truncated", "it ends early")
    assert outcomes([A], reads=[refused], columns="outcome kind detail attempts") == [
        ("set_aside", "truncated", "it ends early", 1)
    ]


def test_the_last_attempt_to_read_a_file_holds():
    refused = (*READ[:4], None, "not_reachable", "no answer")
    read = (*READ[:3], 2, "i1", None, None)
    assert outcomes([A], reads=[refused, read], columns="outcome attempts") == [("new", 2)]


def test_what_is_about_to_be_read_again_is_not_yet_what_it_was_the_last_time():
    refused, again = (*READ[:4], None, "not_reachable", "no answer"), (*READ[:3], 2)
    assert outcomes([A], reads=[refused], pending=[again], columns="outcome attempts") == [("unread", 0)]
    read = (*again, "i1", None, None)
    assert outcomes([A], reads=[refused, read], pending=[again], columns="outcome attempts") == [("new", 2)]


@pytest.mark.parametrize("other", [("/p/b.jpg", 5, 7), ("/p/a.jpg", 6, 7), ("/p/a.jpg", 5, 8)])
def test_what_was_read_stands_while_another_file_is_read_again(other):
    assert outcomes([A], reads=[READ], pending=[(*other, 2)]) == [("a.jpg", "new", None)]


def test_a_known_name_with_other_bytes_is_set_aside():
    record = ("d", "a.jpg", "another-image-id", "o2", None, "/p/a.jpg")
    assert outcomes([A], reads=[READ], records=[record], columns="outcome kind detail") == [
        ("set_aside", "name_with_other_content", "the name is known with other bytes (another-imag)")
    ]


def test_a_known_photograph_of_another_observation_is_set_aside():
    record = (*RECORD[:3], "o9", "val", "/p/a.jpg")
    assert outcomes([A], reads=[READ], records=[record], columns="outcome kind detail") == [
        (
            "set_aside",
            "record_changed",
            "its observation is o9 on record and o1 here; take it in as another data set to change that",
        )
    ]


@pytest.mark.parametrize(("on_record", "here"), [("train", "val"), (None, "val"), ("train", None)])
def test_a_known_photograph_of_another_split_is_set_aside(on_record, here):
    row, record = (*A[:3], here, *A[4:]), (*RECORD[:4], on_record, "/p/a.jpg")
    assert outcomes([row], reads=[READ], records=[record], columns="outcome kind detail") == [
        (
            "set_aside",
            "record_changed",
            f"its split is {on_record or 'none'} on record and {here or 'none'} here; "
            "take it in as another data set to change that",
        )
    ]


def test_a_photograph_with_a_split_that_is_not_on_record_is_new():
    assert outcomes([(*A[:3], "val", *A[4:])], reads=[READ]) == [("a.jpg", "new", None)]


def test_a_photograph_that_no_row_names_is_set_aside():
    found = outcomes(files=[FILE], columns="row_number image_name location outcome kind detail")
    assert found == [(None, "a.jpg", "/p/a.jpg", "set_aside", "file_without_row", "no row names it")]


def test_a_file_that_is_no_image_needs_no_row():
    assert outcomes(files=[("notes.txt", "/p/notes.txt", None, False, None, None)]) == []


def test_a_file_that_cannot_be_listed_is_set_aside_whatever_it_is():
    file = ("more", "/p/more", None, False, "folder_unreadable", "it cannot be listed")
    assert outcomes(files=[file], columns="outcome kind detail") == [
        ("set_aside", "folder_unreadable", "it cannot be listed")
    ]


def test_a_file_that_another_table_has_named_is_known():
    record = (*RECORD[:1], "other name", *RECORD[2:])
    found = outcomes(files=[FILE], records=[record], columns="image_name outcome kind detail is_on_record")
    assert found == [("a.jpg", "known", None, None, True)]


def test_a_file_that_is_on_record_under_two_names_is_one_file():
    records = [("d", f"{side}/a.jpg", *RECORD[2:]) for side in ("train", "val")]
    assert outcomes(files=[FILE], records=records) == [("a.jpg", "known", None)]


def test_the_earlier_of_two_members_under_one_name_is_no_file_without_a_row():
    files = [("a.jpg", "/p/a.jpg", 512, True, None, None), ("a.jpg", "/p/a.jpg", 2048, True, None, None)]
    assert outcomes([A], files, [READ]) == [("a.jpg", "new", None)]


def test_what_was_set_aside_before_for_the_same_reason_is_a_known_issue():
    row = (*A[:7], "row_without_file", "")
    for issue, is_known in (
        (("d", "/p.csv", "a.jpg", "row_without_file"), True),
        (("d", "/p.csv", "a.jpg", "truncated"), False),
        (("d", "/p.csv", "b.jpg", "row_without_file"), False),
        (("e", "/p.csv", "a.jpg", "row_without_file"), False),
        (("d", "/other.csv", "a.jpg", "row_without_file"), False),
    ):
        # twice on record, as after a change of its detail
        assert outcomes([row], issues=[issue, issue], columns="is_known_issue") == [(is_known,)]
