import json
import tempfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from lake_rows import day, filled, frame, held, rows

from lake import query, tables
from lake.errors import CheckFailedError, QuestionError, TableMissingError
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A lake with one species that the tests of this module only read."""
    place = Lake(str(tmp_path_factory.mktemp("stocked") / "lake"))
    tables.create_missing(place)
    tables.append(place, "species", filled("species", "species_id scientific_name", ("007", "Poa annua")))
    return place


def data_file(lake):
    (file,) = Path(lake.uri("species")).glob("*.parquet")
    return file


def test_a_question_sees_the_snapshots_it_was_given_and_no_newer_rows(lake):
    (empty,) = tables.latest(lake, "species")
    first = tables.append(lake, "species", filled("species", "species_id", ("s1",))).snapshot
    tables.append(lake, "species", filled("species", "species_id", ("s2",)))
    assert rows(query.answer(lake, "labels/current_species", [empty]), "species_id") == []
    assert rows(query.answer(lake, "labels/current_species", [first]), "species_id") == [("s1",)]


def test_a_frame_stands_for_a_table():
    frames = {"species": filled("species", "species_id", ("s1",))}
    assert rows(query.answer(None, "labels/current_species", frames=frames), "species_id") == [("s1",)]


def test_a_table_that_was_not_given_is_not_seen(stocked):
    with pytest.raises(QuestionError, match=r"labels/current_species: .*species does not exist"):
        query.answer(stocked, "labels/current_species")


def test_snapshots_need_a_lake():
    with pytest.raises(QuestionError, match="species@0 was given, but no lake"):
        query.answer(None, "labels/current_species", [Snapshot("species", 0)])


def test_a_question_that_is_in_no_file_is_an_error_that_names_it():
    with pytest.raises(QuestionError, match=r"there is no question 'pending/unknown'.*unknown\.sql"):
        query.answer(None, "pending/unknown")


def test_a_value_that_is_missing_is_an_error_of_the_question():
    frames = {"image_records": frame("dataset image_name image_id")}
    with pytest.raises(QuestionError, match=r"pending/known_records: .*dataset"):
        query.answer(None, "pending/known_records", frames=frames)


def test_a_value_is_never_part_of_the_text():
    frames = {
        "image_records": frame("dataset image_name image_id observation_id split_tag", ("d", "a.jpg", "i1", "o", None))
    }
    hostile = "d' or 'a' = 'a"
    assert rows(query.answer(None, "pending/known_records", frames=frames, dataset=hostile)) == []


def test_an_empty_snapshot_gives_typed_columns(lake):
    found = query.answer(lake, "pending/known_records", tables.latest(lake, "image_records"), dataset="d")
    assert found.num_rows == 0
    assert [str(kind) for kind in found.schema.types] == ["string"] * 4
    typed = query.ask(lake, "select cls, ingested_at, latitude from embeddings, image_records")
    assert [str(kind) for kind in typed.schema.types] == ["list<l: float>", "timestamp[us, tz=UTC]", "double"]


@pytest.mark.parametrize("key", ["007", "7", "1e5", "2026-01-01"])
def test_a_partition_key_stays_the_text_that_it_was(lake, key):
    tables.append(lake, "image_records", filled("image_records", "dataset image_name image_id", ("d", "a.jpg", "i1")))
    vectors = filled("embeddings", "embedding_key image_id scheme_id cls", (key, "i1", "whole", [0.5, -1.5]))
    tables.append(lake, "embeddings", vectors)
    tables.append(lake, "embedding_specs", filled("embedding_specs", "embedding_key", (key,)))
    snapshots = tables.latest(lake, "image_records", "embeddings", "embedding_specs")
    found = query.answer(lake, "training/embedding_keys", snapshots, dataset="d", scheme_id="whole")
    assert rows(found, "embedding_key image_count") == [(key, 1)]
    assert rows(query.ask(lake, "select embedding_key, cls from embeddings")) == [(key, [0.5, -1.5])]


def test_a_check_without_offenders_is_silent_and_one_with_them_shows_the_first(lake):
    records = frame("dataset image_name image_id", *(("d", f"{number}.jpg", "i1") for number in range(7)))
    snapshots = tables.latest(lake, "images")
    rule = "every_record_has_its_image"
    query.check(lake, rule, snapshots, {"image_records": records.slice(0, 0)}, dataset="d")
    with pytest.raises(CheckFailedError) as caught:
        query.check(lake, rule, snapshots, {"image_records": records}, dataset="d")
    message = str(caught.value)
    assert message.startswith("every record has its image: 7 offenders in images@0:")
    assert message.count("\n") == 5
    assert ".jpg" in message


def test_several_questions_on_one_engine_see_what_they_are_shown_and_what_was_saved(lake, tmp_path):
    saved = tmp_path / "saved.parquet"
    with query.session(None, frames={"current_labels": (saved,)}) as ask:
        ask.show("current_changes", frame("old_species_id new_species_id", ("s1", "s2")))
        assert ask.save(tmp_path / "accepted.parquet", "labels/accepted_species") == 1
        ask.show("accepted_species", ask.answer("labels/accepted_species"))
        with pytest.raises(QuestionError, match="current_labels does not exist"):
            ask.answer("labels/accepted_labels")
        pq.write_table(frame("observation_id species_id", ("o1", "s1")), saved)
        assert rows(ask.answer("labels/accepted_labels")) == [("o1", "s2")]


def test_an_engine_reads_no_file_but_those_that_it_was_given(tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(frame("species_id", ("s1",)), other)
    with query.session(None, frames={"mine": (tmp_path / "mine.parquet",)}) as ask, pytest.raises(QuestionError):
        ask.run("the question", f"from read_parquet('{other}')", {})


def test_a_stranger_reads_every_table_by_its_name(lake):
    names = ", ".join(f"(select count(*) from {name})" for name in TABLES)
    assert rows(query.ask(lake, f"select {names}")) == [(0,) * len(TABLES)]
    assert len(rows(query.ask(lake, "show tables"))) == len(TABLES)


def test_a_stranger_sees_the_newest_version(lake):
    for one in ("s1", "s2"):
        tables.append(lake, "species", filled("species", "species_id recorded_at", (one, day(int(one[1])))))
    assert rows(query.ask(lake, "select species_id from species order by 1")) == [("s1",), ("s2",)]
    newer = "select species_id from species where recorded_at > '2026-01-01 12:00' and species_id like 's%'"
    assert rows(query.ask(lake, newer)) == [("s2",)]


def test_times_are_told_in_utc(stocked):
    assert rows(query.ask(stocked, "select cast(recorded_at as varchar) from species")) == [("2026-01-01 00:00:00+00",)]


def test_without_a_lake_there_is_nothing_to_ask(tmp_path):
    with pytest.raises(TableMissingError, match="no table 'images'"):
        query.ask(Lake(str(tmp_path / "none")), "select 1")


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "select * from glob('/*')",
        "select * from read_parquet('{folder}/**/*.parquet')",
        "select * from '{file}'",
        "select * from query('from ''{file}''')",
        "with a as (copy (select 1) to '{folder}/new.csv') select 1",
        "with a as (copy (select 1) to '{file}' (format parquet, use_tmp_file false)) select 1",
        "select * from query('with a as (copy (select 1) to ''{file}'' (use_tmp_file false)) select 1')",
        "copy (select 1) to '{file}' (format parquet, use_tmp_file false)",
        "copy species to '{folder}/new.parquet'",
        "export database '{folder}/new'",
        "attach '{folder}/new.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "reset lock_configuration",
        "pragma enable_profiling",
        "explain analyze copy (select 1) to '{file}' (format parquet, use_tmp_file false)",
        "select * from duckdb_secrets()",
        "select * from surrounding_frame",
        "select * from species_id",
        "insert into species values (1)",
        "drop view species; select 1",
        "create table t as select 1; select * from t",
        "select 1; select 2",
        "selec 1",
        "-- nothing",
        "",
    ],
)
def test_a_stranger_sees_the_tables_and_nothing_else(stocked, text):
    surrounding_frame = frame("species_id", ("s1",))
    assert surrounding_frame.num_rows == 1
    file = data_file(stocked)
    before = file.read_bytes()
    with pytest.raises(QuestionError):
        query.ask(stocked, text.format(file=file, folder=stocked.root))
    assert file.read_bytes() == before
    assert not list(Path(stocked.root).glob("new*"))
    assert held(stocked, "species", "species_id") == [("007",)]


@pytest.mark.parametrize(
    "text", ["from species", "with a as (select 1) from a", "describe species", "summarize species"]
)
def test_whatever_reads_may_be_asked(stocked, text):
    assert rows(query.ask(stocked, text))


def test_a_question_larger_than_memory_spills(stocked, monkeypatch):
    sort = "select last(b) from (select repeat('x', 90) || i as b from range(1500000) t(i) order by b)"
    little = {"memory_limit": "100MB", "threads": "1"}
    with duckdb.connect(config={**little, "temp_directory": ""}) as engine, pytest.raises(duckdb.OutOfMemoryException):
        engine.sql(sort).fetchall()
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda config: connect(config={**config, **little}))
    assert rows(query.ask(stocked, sort)) == [("x" * 90 + "999999",)]


def test_what_is_spilled_lies_in_a_folder_of_its_own_and_is_gone_afterwards(stocked):
    ((place,),) = rows(query.ask(stocked, "select current_setting('temp_directory')"))
    assert Path(place).parent == Path(tempfile.gettempdir())
    assert not Path(place).exists()


def test_a_lost_data_file_is_an_error_of_the_question(lake):
    snapshot = tables.append(lake, "species", filled("species", "species_id", ("s1",))).snapshot
    data_file(lake).unlink()
    with pytest.raises(QuestionError, match=r"species@1 cannot be read: .*parquet"):
        query.answer(lake, "labels/current_species", [snapshot])


def with_newer_protocol(tmp_path, configuration):
    """Return a lake whose species were created by an engine that asks more of its readers."""
    lake = Lake(str(tmp_path / "newer"))
    schema = Schema.from_arrow(TABLES["species"].columns)
    DeltaTable.create(lake.uri("species"), schema, configuration=configuration)
    tables.create_missing(lake)
    tables.append(lake, "species", filled("species", "species_id", ("s1",), ("s2",)))
    assert tables.open_table(lake, "species").protocol().min_reader_version > 1
    return lake


def test_a_table_that_may_hold_deletion_vectors_is_refused_and_not_misread(tmp_path):
    lake = with_newer_protocol(tmp_path, {"delta.enableDeletionVectors": "true"})
    with pytest.raises(QuestionError, match=r"species.* was written with features .*deletionVectors"):
        query.answer(lake, "labels/current_species", tables.latest(lake, "species"))
    with pytest.raises(QuestionError, match="deletionVectors"):
        query.ask(lake, "select * from species")


def test_a_table_of_a_newer_protocol_is_read_through_arrow(tmp_path):
    lake = with_newer_protocol(tmp_path, {"delta.minReaderVersion": "3", "delta.minWriterVersion": "7"})
    found = query.answer(lake, "labels/current_species", tables.latest(lake, "species"))
    assert sorted(rows(found, "species_id")) == [("s1",), ("s2",)]


def test_a_file_in_the_folder_that_the_log_does_not_name_is_not_read(lake):
    snapshot = tables.append(lake, "species", filled("species", "species_id", ("s1",))).snapshot
    file = data_file(lake)
    file.with_name("part-00001-orphan.parquet").write_bytes(file.read_bytes())
    assert rows(query.answer(lake, "labels/current_species", [snapshot]), "species_id") == [("s1",)]
    assert rows(query.ask(lake, "select count(*) from species")) == [(1,)]


def test_a_snapshot_is_stored_with_its_version():
    said = tables.describe([Snapshot("species", 0), Snapshot("images", 3)])
    assert json.loads(said) == {"species": 0, "images": 3}
