from lake_rows import day, filled, rows

from lake.query import answer

SOURCE = "dataset source_uri source_id recorded_at"


def last(*sources):
    frames = {"ingest_sources": filled("ingest_sources", SOURCE, *sources)}
    return rows(answer(None, "pending/last_source", frames=frames, dataset="d", source_uri="/p"), "source_id")


def test_the_latest_way_in_which_a_source_was_read_is_the_last_one():
    assert last(("d", "/p", "a", day(1)), ("d", "/p", "b", day(2)), ("d", "/p", "a", day(3))) == [("a",)]


def test_other_sources_and_data_sets_do_not_count():
    assert last(("d", "/q", "a", day(1)), ("e", "/p", "b", day(2))) == []
