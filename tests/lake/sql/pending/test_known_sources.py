from lake_rows import day, filled, rows

from lake.query import answer

COLUMNS = "dataset source_id source_uri format options recorded_at"


def known(*sources, dataset=None):
    frames = {"ingest_sources": filled("ingest_sources", COLUMNS, *sources)}
    return rows(answer(None, "pending/known_sources", frames=frames, dataset=dataset), "dataset source_uri options")


def test_a_source_is_known_as_it_was_read_the_last_time():
    before = ("d", "id2", "/p.csv", "table", "before", day(1))
    assert known(("d", "id1", "/p.csv", "table", "now", day(2)), before) == [("d", "/p.csv", "now")]


def test_of_two_ways_of_the_same_moment_the_lower_id_counts():
    assert known(*(("d", name, "/p.csv", "table", name, day(1)) for name in ("id2", "id1"))) == [("d", "/p.csv", "id1")]


def test_one_place_of_two_data_sets_is_two_sources():
    sources = [(dataset, "id", "/p", "folder", "{}", day(1)) for dataset in ("e", "d")]
    assert known(*sources) == [("d", "/p", "{}"), ("e", "/p", "{}")]
    assert known(*sources, dataset="e") == [("e", "/p", "{}")]
