from lake_rows import day, filled, rows

from lake.query import answer

COLUMNS = "dataset image_name kind row_count is_set_aside is_on_record source_uri last_seen_at"


def set_aside(*issues, records=()):
    frames = {
        "ingest_issues": filled("ingest_issues", COLUMNS, *issues),
        "image_records": filled("image_records", "dataset image_name", *records),
    }
    return rows(answer(None, "upkeep/set_aside", frames=frames))


def issue(name, kind="truncated", count=1, aside=True, on_record=False, seen=1, dataset="d"):
    return (dataset, name, kind, count, aside, on_record, "s", day(seen))


def test_rows_are_counted_by_kind_with_one_to_look_at():
    found = set_aside(issue("b"), issue("a", count=2), issue("c", "too_large"))
    assert found == [("d", "truncated", 3, "a"), ("d", "too_large", 1, "c")]


def test_the_last_word_on_a_photograph_holds():
    assert set_aside(issue("a", seen=1), issue("a", count=0, seen=2)) == []


def test_what_has_come_on_record_since_is_mended_and_what_was_before_is_not():
    assert set_aside(issue("a"), records=[("d", "a")]) == []
    assert set_aside(issue("a", on_record=True), records=[("d", "a")]) == [("d", "truncated", 1, "a")]


def test_what_is_only_noted_is_not_set_aside():
    assert set_aside(issue("a", aside=False)) == []


def test_as_many_of_two_kinds_come_by_data_set_and_kind():
    found = set_aside(issue("a", "z"), issue("b", "y"), issue("c", "z", dataset="c"))
    assert [row[:2] for row in found] == [("c", "z"), ("d", "y"), ("d", "z")]
