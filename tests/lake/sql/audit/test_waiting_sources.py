import pytest
from lake_rows import day, filled, frame, rows

from lake.query import answer

SOURCE = ("d", "id1", "/p.csv", day(1))
ISSUE = ("d", "a.jpg", "truncated", "/p.csv", False, True, day(1))
NO_MORE = 0


def waiting(issues, sources=(SOURCE,), records=(), columns="source_id kinds"):
    frames = {
        "ingest_sources": filled("ingest_sources", "dataset source_id source_uri recorded_at", *sources),
        "ingest_issues": filled(
            "ingest_issues",
            "dataset image_name kind source_uri is_on_record is_set_aside last_seen_at row_count",
            *((*issue, 1)[:8] for issue in issues),
        ),
        "image_records": frame("dataset image_name", *records),
    }
    return rows(answer(None, "audit/waiting_sources", frames=frames, dataset="d"), columns)


def test_a_source_waits_with_each_of_its_reasons_once():
    others = [("d", "b.jpg", kind, *ISSUE[3:]) for kind in ("unreadable", "truncated")]
    assert waiting([ISSUE, *others]) == [("id1", ["truncated", "unreadable"])]


def test_a_source_of_which_everything_was_kept_does_not_wait():
    assert waiting([]) == []


def test_a_source_does_not_wait_for_what_came_on_record_since():
    assert waiting([ISSUE], records=[("d", "a.jpg")]) == []
    assert waiting([ISSUE], records=[("e", "a.jpg")]) == [("id1", ["truncated"])]


def test_what_is_set_aside_of_a_name_on_record_waits():
    issue = (*ISSUE[:2], "name_with_other_content", "/p.csv", True, *ISSUE[5:])
    assert waiting([issue], records=[("d", "a.jpg")]) == [("id1", ["name_with_other_content"])]


def test_the_last_word_of_a_source_on_a_name_and_reason_counts():
    later = (*ISSUE[:4], True, True, day(2))
    assert waiting([ISSUE, later], records=[("d", "a.jpg")]) == [("id1", ["truncated"])]
    of_another_source = (*ISSUE[:3], "/q.csv", *ISSUE[4:6], day(3))
    assert waiting([later, of_another_source], records=[("d", "a.jpg")]) == [("id1", ["truncated"])]


def test_what_is_so_no_longer_is_nothing_to_wait_for():
    assert waiting([ISSUE, (*ISSUE[:6], day(2), NO_MORE)]) == []


def test_a_note_on_what_is_kept_is_nothing_to_wait_for():
    assert waiting([(*ISSUE[:5], False, day(1))]) == []


@pytest.mark.parametrize("change", [("e", *ISSUE[1:]), (*ISSUE[:3], "/q.csv", *ISSUE[4:])])
def test_issues_of_other_data_sets_and_sources_are_not_its_own(change):
    assert waiting([change]) == []


def test_sources_of_other_data_sets_are_not_asked():
    assert waiting([ISSUE], sources=[("e", *SOURCE[1:])]) == []


def test_of_a_source_that_was_read_in_several_ways_the_latest_counts():
    sources = [("d", name, "/p.csv", day(number)) for number, name in enumerate(("id2", "id3", "id1"), start=1)]
    assert waiting([ISSUE], sources) == [("id1", ["truncated"])]


def test_sources_come_by_the_day_on_which_they_were_read_and_then_by_their_ids():
    sources = [("d", "id2", "/p.csv", day(2)), ("d", "id3", "/q.csv", day(1)), ("d", "id1", "/r.csv", day(2))]
    issues = [(*ISSUE[:3], uri, *ISSUE[4:]) for uri in ("/p.csv", "/q.csv", "/r.csv")]
    assert waiting(issues, sources, columns="source_id") == [("id3",), ("id1",), ("id2",)]
