from datetime import timedelta

import pytest
from lake_rows import day, filled, frame, rows, staged

from lake.query import answer

OUTCOME = "row_number image_name kind detail outcome attempts is_on_record location"
ISSUE = (
    "dataset source_uri image_name kind detail row_count is_on_record attempts first_seen_at last_seen_at is_set_aside"
)
LOST = (2, "a.jpg", "truncated", "it ends early", "set_aside", 1, False, "/p/a.jpg")
ON_RECORD = ("d", "/p.csv", "a.jpg", "truncated", "it ends early", 1, False, 1, day(1), day(1), True)


def issues(*outcomes, known=(), species=(), columns="image_name kind row_count"):
    frames = {
        "outcomes": frame(OUTCOME, *outcomes),
        "source_species": staged("source_species", "row_number species_id", *species),
        "ingest_issues": filled("ingest_issues", ISSUE, *known),
    }
    found = answer(None, "intake/new_issues", frames=frames, dataset="d", source_uri="/p.csv", now=day(5))
    return rows(found, columns)


def changed(row, **values):
    names = (OUTCOME if len(row) == len(OUTCOME.split()) else ISSUE).split()
    return tuple({**dict(zip(names, row, strict=True)), **values}.values())


def test_what_is_set_aside_is_an_issue():
    columns = "image_name kind detail row_count is_set_aside is_on_record attempts first_seen_at last_seen_at"
    assert issues(LOST, columns=columns) == [("a.jpg", "truncated", "it ends early", 1, True, False, 1, day(5), day(5))]


@pytest.mark.parametrize("outcome", ["new", "known", "unread"])
def test_what_is_not_set_aside_is_none(outcome):
    assert issues(changed(LOST, kind=None, outcome=outcome)) == []


def test_rows_of_one_name_and_reason_are_one_issue_that_counts_them():
    again = changed(LOST, row_number=1, detail="first")
    file = changed(LOST, row_number=None, detail="a file", location="/a")
    assert issues(LOST, again, file, columns="row_count detail") == [(3, "first")]


def test_of_files_alone_the_first_by_place_says_the_detail():
    files = [changed(LOST, row_number=None, detail=place, location=place) for place in ("/b", "/a")]
    assert issues(*files, columns="row_count detail") == [(2, "/a")]


def test_an_issue_names_the_species_of_its_rows_once():
    again = changed(LOST, row_number=3)
    species = [(2, "s2"), (2, "s1"), (3, "s1"), (4, "s9")]
    assert issues(LOST, again, species=species, columns="row_count species_ids") == [(2, ["s1", "s2"])]


def test_what_stands_on_record_is_not_said_again():
    assert issues(LOST, known=[ON_RECORD]) == []


@pytest.mark.parametrize(
    "change", [{"detail": "another"}, {"row_count": 2}, {"attempts": 2}, {"is_on_record": True}], ids=str
)
def test_what_has_changed_is_said_again_with_the_day_on_which_it_was_first_seen(change):
    found = issues(LOST, known=[changed(ON_RECORD, **change)], columns="first_seen_at last_seen_at")
    assert found == [(day(1), day(5))]


def test_the_last_word_on_a_name_and_reason_counts():
    later = changed(ON_RECORD, detail="another", last_seen_at=day(2))
    assert len(issues(LOST, known=[ON_RECORD, later])) == 1
    assert issues(LOST, known=[changed(later, last_seen_at=day(1)), changed(ON_RECORD, last_seen_at=day(2))]) == []


@pytest.mark.parametrize("change", [{"dataset": "e"}, {"source_uri": "/q.csv"}, {"kind": "unreadable"}], ids=str)
def test_the_word_of_another_data_set_source_or_reason_is_not_its_own(change):
    found = issues(LOST, known=[changed(ON_RECORD, **change)], columns="kind first_seen_at")
    assert ("truncated", day(5)) in found


def test_what_is_so_no_longer_is_said_once_with_no_rows():
    columns = "image_name kind detail row_count first_seen_at last_seen_at"
    assert issues(known=[ON_RECORD], columns=columns) == [("a.jpg", "truncated", "no longer", 0, day(1), day(5))]
    assert issues(known=[ON_RECORD, changed(ON_RECORD, row_count=0, last_seen_at=day(2))]) == []
    assert issues(known=[changed(ON_RECORD, is_set_aside=False)]) == []


def test_what_was_mended_is_said_to_be_on_record():
    mended = changed(LOST, kind=None, outcome="new")
    assert issues(mended, known=[ON_RECORD], columns="row_count is_on_record") == [(0, True)]


def test_an_issue_is_later_than_all_others_of_its_data_set_whatever_the_clock_says():
    known = changed(ON_RECORD, image_name="b.jpg", source_uri="/q.csv", last_seen_at=day(9))
    assert issues(LOST, known=[known], columns="last_seen_at") == [(day(9) + timedelta(microseconds=1),)]
    assert issues(LOST, known=[changed(known, dataset="e")], columns="last_seen_at") == [(day(5),)]


def test_a_name_that_comes_again_is_on_record_by_its_first_row():
    first = changed(LOST, row_number=1, kind=None, outcome="new")
    assert issues(first, LOST, columns="row_count is_on_record") == [(1, True)]
    assert issues(changed(first, image_name="b.jpg"), LOST, columns="is_on_record") == [(False,)]


def test_a_name_that_was_on_record_before_is_on_record():
    assert issues(LOST, changed(LOST, row_number=3, is_on_record=True), columns="is_on_record") == [(True,)]
