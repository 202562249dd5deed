import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake_rows import day, filled, frame, held
from own_processes import at_once

from lake import tables
from lake.errors import LakeError, RowsRefusedError, TableMissingError
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot


def species(*ids):
    return filled("species", "species_id", *((one,) for one in ids))


def known(lake):
    return [one for (one,) in held(lake, "species", "species_id")]


def append_species(lake, first, past_last, at_a_time, told):
    """Append the species of these numbers, some to a commit, and write to a file how many were new."""
    new = 0
    for start in range(first, past_last, at_a_time):
        ids = [f"s{number:03}" for number in range(start, min(start + at_a_time, past_last))]
        new += tables.append(lake, "species", species(*ids)).row_count
    Path(told).write_text(str(new))


def test_creation_makes_every_table_and_says_which(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    assert tables.create_missing(lake) == list(TABLES)
    assert tables.create_missing(lake) == []


def test_a_created_table_has_the_columns_of_its_contract(lake):
    for name, table in TABLES.items():
        columns = pa.schema(tables.open_table(lake, name).schema().to_arrow())
        assert columns.names == table.columns.names
        assert [columns.field(key).nullable for key in table.key] == [False] * len(table.key)


def test_no_append_and_no_reader_creates_a_table(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    for attempt in (
        lambda: tables.append(lake, "species", species("s1")),
        lambda: tables.latest(lake, "species"),
        lambda: tables.row_count(lake, Snapshot("species", 0)),
    ):
        with pytest.raises(TableMissingError, match=r"no table 'species' in .*lake.*taxalake ingest"):
            attempt()
    assert not tables.exists(lake, "species")


def test_a_name_that_is_no_table_is_told_which_there_are(lake):
    with pytest.raises(TableMissingError, match=r"no table 'specis'; the tables are images, .*species"):
        tables.append(lake, "specis", species("s1"))


def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one(lake):
    tables.append(lake, "species", species("s1"))
    log = Path(lake.uri("species")) / "_delta_log"
    (log / f"{1:020}.json").write_text("this is no commit")
    for attempt in (
        lambda: tables.create_missing(lake),
        lambda: tables.append(lake, "species", species("s1")),
        lambda: tables.latest(lake, "species"),
    ):
        with pytest.raises(LakeError, match=r"'species' in .* cannot be read") as caught:
            attempt()
        assert not isinstance(caught.value, TableMissingError)


def test_a_table_that_lost_its_log_is_not_created_over(lake):
    tables.append(lake, "species", species("s1"))
    shutil.rmtree(Path(lake.uri("species")) / "_delta_log")
    with pytest.raises(LakeError, match="has files and no log"):
        tables.create_missing(lake)


def test_a_table_that_lost_a_file_is_not_appended_to(lake):
    tables.append(lake, "species", species("s1"))
    for file in Path(lake.uri("species")).glob("*.parquet"):
        file.unlink()
    with pytest.raises(LakeError, match=r"'species' in .* has lost a file"):
        tables.append(lake, "species", species("s1"))


@pytest.mark.parametrize("name", ["my lake", "Wälder", "100%", "run=1", "a*"])
def test_a_folder_whose_files_would_not_be_found_again_is_refused(tmp_path, name):
    with pytest.raises(LakeError, match="a lake cannot lie in"):
        Lake(str(tmp_path / name))


@pytest.mark.parametrize("name", ["lake", "o'brien", "a+b~c@d,e;f:g", "(1)"])
def test_a_folder_that_is_not_refused_is_read_and_written(tmp_path, name):
    lake = Lake(str(tmp_path / name))
    tables.create_missing(lake)
    tables.append(lake, "species", species("s1"))
    assert tables.append(lake, "species", species("s1")).row_count == 0
    assert known(lake) == ["s1"]


def test_the_same_rows_twice_are_there_once_and_the_second_time_commits_nothing(lake):
    first = tables.append(lake, "species", species("s1", "s2"))
    second = tables.append(lake, "species", species("s1", "s2"))
    assert (first.row_count, second.row_count) == (2, 0)
    assert second.snapshot == first.snapshot
    assert known(lake) == ["s1", "s2"]


def test_of_overlapping_rows_only_the_new_ones_are_written(lake):
    tables.append(lake, "species", species("s1", "s2"))
    assert tables.append(lake, "species", species("s2", "s3")).row_count == 1
    assert known(lake) == ["s1", "s2", "s3"]


def test_a_key_is_all_of_its_columns(lake):
    def labels(*keys):
        return filled("labels", "dataset observation_id species_id labelled_at", *keys)

    tables.append(lake, "labels", labels(("d", "o1", "s1", day(1))))
    again = labels(("d", "o1", "s1", day(1)), ("d", "o1", "s1", day(2)), ("e", "o1", "s1", day(1)))
    assert tables.append(lake, "labels", again).row_count == 2


def test_rows_planned_on_an_old_version_are_looked_up_again(lake):
    (before,) = tables.latest(lake, "species")
    tables.append(lake, "species", species("s1"))
    assert tables.append(lake, "species", species("s1", "s2"), planned_on=before).row_count == 1
    assert known(lake) == ["s1", "s2"]


def test_a_replay_through_a_handle_that_is_out_of_date_is_refused_and_looked_up_again(lake, monkeypatch):
    stale = tables.open_table(lake, "species")
    tables.append(lake, "species", species("s1"))
    fresh = tables.open_table
    handles = iter([stale])
    monkeypatch.setattr(tables, "open_table", lambda lake, name, *version: next(handles, None) or fresh(lake, name))
    assert tables.append(lake, "species", species("s1", "s2"), planned_on=Snapshot("species", 0)).row_count == 1
    assert known(lake) == ["s1", "s2"]


def test_who_is_overtaken_every_time_is_told_so_and_writes_nothing(lake, monkeypatch):
    stale = tables.open_table(lake, "species").version()
    tables.append(lake, "species", species("s1"))
    fresh = tables.open_table
    monkeypatch.setattr(tables, "open_table", lambda lake, name: fresh(lake, name, stale))
    monkeypatch.setattr(tables.time, "sleep", lambda seconds: None)
    with pytest.raises(LakeError, match="committed to by others 20 times"):
        tables.append(lake, "species", species("s2"))
    monkeypatch.undo()
    assert known(lake) == ["s1"]


def test_processes_that_append_overlapping_rows_at_once_leave_each_key_once(lake, tmp_path):
    spans = (0, 40), (20, 60), (0, 60)
    told = [str(tmp_path / f"{number}.txt") for number in range(len(spans))]
    work = [(lake, *span, 5, file) for span, file in zip(spans, told, strict=True)]
    assert at_once(append_species, *work) == [0, 0, 0]
    assert known(lake) == [f"s{number:03}" for number in range(60)]
    assert sum(int(Path(file).read_text()) for file in told) == 60


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.integers(0, 9).map("s{}".format), min_size=1), max_size=5))
def test_any_appends_leave_each_key_once(tmp_path_factory, batches):
    lake = Lake(str(tmp_path_factory.mktemp("any")))
    tables.create_missing(lake)
    seen = set()
    for batch in batches:
        assert tables.append(lake, "species", species(*sorted(batch))).row_count == len(batch - seen)
        seen |= batch
    assert known(lake) == sorted(seen)


def test_version_0_is_a_version(lake):
    (empty,) = tables.latest(lake, "species")
    assert empty == Snapshot("species", 0)
    assert str(empty) == "species@0"
    tables.append(lake, "species", species("s1"))
    assert tables.row_count(lake, empty) == 0
    assert tables.scan(lake, empty).collect().height == 0


def test_an_old_version_stays_as_it_was(lake):
    first = tables.append(lake, "species", species("s1")).snapshot
    second = tables.append(lake, "species", species("s2")).snapshot
    assert tables.scan(lake, first).collect()["species_id"].to_list() == ["s1"]
    assert (tables.row_count(lake, first), tables.row_count(lake, second)) == (1, 2)


def test_a_version_that_is_not_there_is_an_error_that_names_it(lake):
    with pytest.raises(LakeError, match="cannot be read at version 7"):
        tables.open_table(lake, "species", 7)


def test_what_a_crash_left_in_mid_write_is_not_read(lake):
    tables.append(lake, "species", species("s1"))
    pq.write_table(species("s2"), Path(lake.uri("species")) / "part-00001-orphan.parquet")
    assert known(lake) == ["s1"]
    assert tables.append(lake, "species", species("s2")).row_count == 1


def test_a_column_that_is_in_no_contract_is_refused(lake):
    rows = species("s1").append_column("colour", pa.array(["red"]))
    with pytest.raises(RowsRefusedError, match="species has no column colour"):
        tables.append(lake, "species", rows)


def test_a_required_column_that_is_missing_is_refused(lake):
    with pytest.raises(RowsRefusedError, match=r"species.source is required"):
        tables.append(lake, "species", species("s1").drop_columns(["source"]))


def test_a_key_that_is_null_is_refused(lake):
    rows = species("s1", "s2").set_column(0, "species_id", pa.array(["s1", None]))
    with pytest.raises(RowsRefusedError, match=r"species.species_id is null in 1 of 2 rows"):
        tables.append(lake, "species", rows)


def test_a_key_that_comes_twice_is_refused(lake):
    with pytest.raises(
        RowsRefusedError, match=r"3 rows for species name only 2 keys \(species_id, source, recorded_at\)"
    ):
        tables.append(lake, "species", species("s1", "s2", "s1"))


def test_a_column_of_another_type_is_refused(lake):
    rows = species("s1").drop_columns(["recorded_at"]).append_column("recorded_at", pa.array(["yesterday"]))
    with pytest.raises(RowsRefusedError, match=r"species.recorded_at is timestamp.*, not string"):
        tables.append(lake, "species", rows)


def test_refused_rows_are_not_written_in_part(lake):
    with pytest.raises(RowsRefusedError):
        tables.append(lake, "species", species("s1", "s2", "s1"))
    assert tables.latest(lake, "species") == (Snapshot("species", 0),)


def test_columns_come_in_any_order_and_missing_optional_ones_are_null(lake):
    rows = frame("flow_run_id scientific_name species_id source recorded_at", ("run", "Poa annua", "s1", "x", day(1)))
    tables.append(lake, "species", rows)
    columns = "species_id scientific_name genus family recorded_at flow_run_id"
    assert held(lake, "species", columns) == [("s1", "Poa annua", None, None, day(1), "run")]


def test_no_rows_are_no_commit(lake):
    assert tables.append(lake, "species", species()) == tables.Appended(Snapshot("species", 0), 0)


def test_vectors_come_back_as_they_went_in_and_lazily(lake):
    rows = filled("embeddings", "embedding_key image_id tile_index cls", ("007", "i1", 0, [0.5, -1.5]))
    snapshot = tables.append(lake, "embeddings", rows).snapshot
    found = tables.scan(lake, snapshot).filter(pl.col("embedding_key") == "007").select("cls").collect()
    assert found["cls"].to_list() == [[0.5, -1.5]]


def test_the_same_content_has_one_digest_whatever_the_order_of_its_names():
    assert tables.digest({"a": 1, "b": [2]}) == tables.digest({"b": [2], "a": 1})
    assert tables.digest({"a": 1}) != tables.digest({"a": "1"})
    assert tables.canonical_json({"b": "ü", "a": None}) == '{"a":null,"b":"ü"}'


def test_a_table_that_another_engine_wrote_to_is_still_appended_to_once(lake):
    write_deltalake(DeltaTable(lake.uri("species")), species("s1"), mode="append")
    assert tables.append(lake, "species", species("s1", "s2")).row_count == 1


def test_a_planned_append_is_planned_again_when_another_writer_was_faster(lake):
    seen = []

    def plan(snapshot):
        seen.append(snapshot.version)
        if len(seen) == 1:
            tables.append(lake, "species", species("s1"))
        there = tables.scan(lake, snapshot).collect()["species_id"].to_list()
        return species(*({"s1", "s2"} - set(there)))

    assert tables.append_planned(lake, "species", plan).row_count == 1
    assert seen == [0, 1]
    assert known(lake) == ["s1", "s2"]


def test_a_plan_that_finds_nothing_missing_is_no_commit(lake):
    assert tables.append_planned(lake, "species", lambda snapshot: species()) == tables.Appended(
        Snapshot("species", 0), 0
    )


def hashes(*ids):
    return filled("perceptual_hashes", "image_id", *((one,) for one in ids))


def test_known_keys_hold_what_this_process_wrote_and_what_others_add(lake):
    tables.append(lake, "perceptual_hashes", hashes("i1"))
    keys = tables.KnownKeys(lake, "perceptual_hashes")
    assert ("i1",) in keys
    tables.append(lake, "perceptual_hashes", hashes("i2"), known=keys)
    assert ("i2",) in keys
    tables.append(lake, "perceptual_hashes", hashes("i3"))
    assert tables.append(lake, "perceptual_hashes", hashes("i1", "i2", "i3", "i4"), known=keys).row_count == 1
    assert [one for (one,) in held(lake, "perceptual_hashes", "image_id")] == ["i1", "i2", "i3", "i4"]


def test_keys_that_were_absent_in_a_snapshot_are_looked_for_in_what_came_since(lake):
    (before,) = tables.latest(lake, "perceptual_hashes")
    keys = tables.KnownKeys(lake, "perceptual_hashes", absent_in=before)
    tables.append(lake, "perceptual_hashes", hashes("i1"))
    assert tables.append(lake, "perceptual_hashes", hashes("i1", "i2"), known=keys).row_count == 1


def tiles(*keys):
    return filled("embeddings", "embedding_key image_id", *keys)


def test_known_keys_of_a_partitioned_table_are_the_text_that_they_were(lake):
    tables.append(lake, "embeddings", tiles(("007", "i1")))
    keys = tables.KnownKeys(lake, "embeddings")
    tables.append(lake, "embeddings", tiles(("1e5", "i1")))
    offered = tiles(("007", "i1"), ("7", "i1"), ("007", "i2"), ("1e5", "i1"), ("100000.0", "i1"))
    assert tables.append(lake, "embeddings", offered, known=keys).row_count == 3
    assert len(held(lake, "embeddings", "embedding_key image_id")) == 5


def test_partitions_that_came_after_a_snapshot_are_looked_at(lake):
    tables.append(lake, "embeddings", tiles(("007", "i1")))
    (before,) = tables.latest(lake, "embeddings")
    keys = tables.KnownKeys(lake, "embeddings", absent_in=before)
    tables.append(lake, "embeddings", tiles(("007", "i2"), ("8", "i1")))
    offered = tiles(("007", "i2"), ("007", "i3"), ("8", "i1"))
    assert tables.append(lake, "embeddings", offered, known=keys).row_count == 1


def test_what_cannot_be_written_is_an_error_that_says_what_to_do(lake):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "write_deltalake", _full)
        with pytest.raises(LakeError, match=r"1 rows cannot be written to 'species' .* the same command goes on"):
            tables.append(lake, "species", species("s1"))
    assert known(lake) == []


def _full(*arguments, **options):
    raise OSError(28, "No space left on device")
