"""What is tidied up in a lake is never what somebody still reads or is about to write."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from lake_rows import filled
from passing_time import pass_time

from lake import blobs, embeddings, maintenance, tables
from lake.errors import LakeError
from lake.images import identity
from lake.maintenance import FEWEST_FILES, sweep_blobs, tend
from lake.schemas import TABLES
from lake.tables import Lake

WEEK = timedelta(days=7)
MONTHS = 60  # days


def vectors(key: str, *names: str) -> pa.Table:
    rows = [(key, name, "whole", 1, [float(len(name)), float(ord(name[-1]))]) for name in names]
    return filled("embeddings", "embedding_key image_id scheme_id tile_level cls", *rows)


def embed(lake: Lake, count: int, first: int = 0, key: str = "007") -> None:
    for number in range(first, first + count):
        tables.append(lake, "embeddings", vectors(key, f"a{number:03}", f"b{number:03}"))


def newest(lake: Lake, table: str = "embeddings") -> int:
    return tables.open_table(lake, table).version()


def read(lake: Lake, version: int | None = None) -> pl.DataFrame:
    return pl.scan_delta(tables.open_table(lake, "embeddings", version)).sort("embedding_key", "image_id").collect()


def test_small_files_are_merged_and_a_second_run_commits_nothing(lake):
    embed(lake, FEWEST_FILES)
    before = read(lake)
    done = tend(lake, "embeddings", WEEK)
    assert (done.before.files, done.after.files, done.merged) == (FEWEST_FILES, 1, FEWEST_FILES - 1)
    assert read(lake).equals(before)
    version = newest(lake)
    again = tend(lake, "embeddings", WEEK)
    assert (again.committed, again.merged, again.removed) == (False, 0, 0)
    assert newest(lake) == version


def test_few_small_files_and_large_ones_are_left_alone(lake, monkeypatch):
    embed(lake, FEWEST_FILES - 1)
    assert not tend(lake, "embeddings", WEEK).committed
    size = max(Path(uri).stat().st_size for uri in tables.open_table(lake, "embeddings").file_uris())
    monkeypatch.setattr(maintenance, "TARGET_BYTES", size)
    embed(lake, 3, first=FEWEST_FILES)
    assert not tend(lake, "embeddings", WEEK).committed


def test_each_partition_is_merged_by_itself_and_its_key_stays_text(lake):
    embed(lake, FEWEST_FILES, key="007")
    embed(lake, FEWEST_FILES, first=50, key="1e5")
    embed(lake, 1, first=90, key="few")
    before = read(lake)
    assert tend(lake, "embeddings", WEEK).merged == 2 * (FEWEST_FILES - 1)
    assert read(lake).equals(before)
    assert set(read(lake)["embedding_key"]) == {"007", "1e5", "few"}


def test_merged_files_are_written_as_the_contract_says(lake):
    for number in range(FEWEST_FILES):
        row = (f"{number:064}", b"\xff" * 5000, "JPEG", 5000)
        tables.append(lake, "images", filled("images", "image_id bytes format byte_count", row))
    tend(lake, "images", WEEK)
    (file,) = tables.open_table(lake, "images").file_uris()
    column = pq.ParquetFile(file).metadata.row_group(0).column(TABLES["images"].columns.names.index("bytes"))
    assert (column.path_in_schema, column.compression, column.statistics) == ("bytes", "UNCOMPRESSED", None)
    assert "RLE_DICTIONARY" not in column.encodings


def test_vectors_read_the_same_before_and_after(lake):
    embed(lake, FEWEST_FILES)
    names = [f"a{number:03}" for number in range(FEWEST_FILES)]

    def seen() -> tuple[list[str], list[list[float]]]:
        (snapshot,) = tables.latest(lake, "embeddings")
        found = embeddings.read_vectors(lake, snapshot, "007", "whole", names, ["cls"])
        return found.image_ids, found.poolings["cls"].tolist()

    before = seen()
    assert tend(lake, "embeddings", WEEK).committed
    assert seen() == before
    assert np.shape(before[1]) == (FEWEST_FILES, 2)


def test_photographs_are_read_by_row_groups_of_merged_files(lake):
    contents = [f"photograph {number}".encode() for number in range(FEWEST_FILES)]
    wanted = []
    for content in contents:
        now = datetime.now(UTC)
        row = (identity(content), content, "JPEG", len(content), now)
        tables.append(lake, "images", filled("images", "image_id bytes format byte_count ingested_at", row))
        wanted.append(embeddings.PendingImage(identity(content), "x", len(content), now))
    tend(lake, "images", WEEK)
    (images,) = tables.latest(lake, "images")
    assert sorted(content for _, content in embeddings.read_bytes(lake, images, wanted)) == contents


def test_files_of_old_versions_go_and_those_of_spared_ones_stay(lake):
    embed(lake, FEWEST_FILES)
    spared, before = newest(lake) - 2, read(lake, newest(lake) - 2)
    tend(lake, "embeddings", WEEK)
    pass_time(Path(lake.root), MONTHS)
    done = tend(lake, "embeddings", WEEK, spared=[spared])
    assert done.spared == (spared,)
    assert done.removed == 2, "the two files that only later versions had"
    assert read(lake, spared).equals(before)
    with pytest.raises(FileNotFoundError):
        read(lake, spared + 1)
    everything = read(lake)
    done = tend(lake, "embeddings", WEEK)
    assert done.removed == FEWEST_FILES - 2
    assert done.after.byte_count < done.before.byte_count
    assert read(lake).equals(everything)


def test_a_version_that_is_gone_is_said_to_be_and_the_rest_goes_on(lake):
    embed(lake, FEWEST_FILES)
    old = newest(lake)
    tend(lake, "embeddings", WEEK)
    pass_time(Path(lake.root), MONTHS)
    assert tend(lake, "embeddings", WEEK).removed == FEWEST_FILES
    done = tend(lake, "embeddings", WEEK, spared=[old, newest(lake), 999])
    assert done.lost == (old, 999)


def test_every_young_version_can_be_read_however_old_its_files_are(lake):
    embed(lake, FEWEST_FILES)
    version, before = newest(lake), read(lake)
    pass_time(Path(lake.root), MONTHS)
    tend(lake, "embeddings", WEEK)
    tables.open_table(lake, "embeddings").create_checkpoint()
    assert tend(lake, "embeddings", WEEK).removed == 0
    assert read(lake, version).equals(before)


def test_kept_for_longer_than_the_log_remembers_removals(lake):
    """A checkpoint forgets after a week which files were taken away when; old files then look like those of a kill."""
    embed(lake, FEWEST_FILES)
    version, before = newest(lake), read(lake)
    pass_time(Path(lake.root), MONTHS)
    tend(lake, "embeddings", WEEK)
    pass_time(Path(lake.root), 20)
    tables.open_table(lake, "embeddings").create_checkpoint()
    assert tend(lake, "embeddings", timedelta(days=30)).removed == 0
    assert read(lake, version).equals(before)
    assert tend(lake, "embeddings", WEEK).removed == FEWEST_FILES


def test_commits_of_long_ago_are_kept_for_the_versions_that_models_name(lake):
    embed(lake, 3)
    before = read(lake, 2)
    pass_time(Path(lake.root), MONTHS)
    log = Path(lake.uri("embeddings")) / "_delta_log"
    tables.open_table(lake, "embeddings").alter.set_table_properties({"delta.checkpointInterval": "5"})
    for number in range(12):  # a checkpoint is written by itself, which would clean up
        tables.append(lake, "embeddings", vectors("007", f"later{number:03}"))
    assert list(log.glob("*.checkpoint.parquet"))
    tend(lake, "embeddings", WEEK, spared=[2])
    assert read(lake, 2).equals(before)


def test_a_table_of_an_older_version_gets_its_log_kept_too(lake, tmp_path):
    contract = TABLES["stage_runs"]
    older = Lake(str(tmp_path / "older"))
    DeltaTable.create(older.uri("stage_runs"), schema=contract.columns)
    assert tend(older, "stage_runs", WEEK).committed
    configuration = tables.open_table(older, "stage_runs").metadata().configuration
    assert configuration["delta.enableExpiredLogCleanup"] == "false"
    assert not tend(older, "stage_runs", WEEK).committed


def test_what_killed_writes_left_goes_and_what_a_writer_is_at_stays(lake):
    embed(lake, 1)
    folder = Path(lake.uri("embeddings")) / "embedding_key=007"
    names = ["part-00000-x-c000.parquet", "part-00001-x-c000.parquet#1"]
    for name in names:
        (folder / name).write_bytes(b"half")
    assert tend(lake, "embeddings", WEEK).removed == 0
    for name in names:
        os.utime(folder / name, (0, 0))
    assert tend(lake, "embeddings", WEEK, dry_run=True).removed == 2
    assert all((folder / name).exists() for name in names)
    assert tend(lake, "embeddings", WEEK).removed == 2
    assert not any((folder / name).exists() for name in names)
    assert len(read(lake)) == 2


def test_less_than_a_day_is_refused(lake):
    with pytest.raises(LakeError, match="keep a day at least"):
        tend(lake, "embeddings", timedelta(hours=23))


def test_a_dry_run_says_what_would_be_done_and_does_nothing(lake):
    embed(lake, FEWEST_FILES)
    version = newest(lake)
    done = tend(lake, "embeddings", WEEK, dry_run=True)
    assert (done.merged, done.committed) == (FEWEST_FILES - 1, False)
    assert done.before == done.after
    assert newest(lake) == version
    assert not list(Path(lake.uri("embeddings")).rglob("*.checkpoint.parquet"))


def test_a_checkpoint_is_written_where_there_are_commits_to_go_through(lake):
    embed(lake, 12)
    tend(lake, "embeddings", WEEK)
    (checkpoint,) = Path(lake.uri("embeddings")).rglob("*.checkpoint.parquet")
    tend(lake, "embeddings", WEEK)
    assert [checkpoint] == list(Path(lake.uri("embeddings")).rglob("*.checkpoint.parquet"))


def test_photographs_that_no_row_names_go_when_they_are_old(lake):
    named, orphan, young = b"named", b"orphan", b"young"
    for content in (named, orphan, young):
        blobs.put(lake, identity(content), content)
    row = (identity(named), f"blobs/{identity(named)[:2]}/{identity(named)}", "JPEG", 5)
    tables.append(lake, "images", filled("images", "image_id blob_uri format byte_count", row))
    files = {content: Path(lake.root, "blobs", identity(content)[:2], identity(content)) for content in (named, orphan)}
    for file in files.values():
        os.utime(file, (0, 0))
    half = files[orphan].with_name(".tmp12")
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    assert sweep_blobs(lake, WEEK, dry_run=True) == (2, len(orphan) + 4)
    assert files[orphan].exists()
    assert sweep_blobs(lake, WEEK) == (2, len(orphan) + 4)
    assert not files[orphan].exists()
    assert files[named].exists()
    assert blobs.get(lake, identity(young), f"blobs/{identity(young)[:2]}/{identity(young)}") == young
    assert sweep_blobs(lake, WEEK) == (0, 0)


def test_an_orphan_that_is_stored_once_more_is_young_again(lake):
    blobs.put(lake, identity(b"seen twice"), b"seen twice")
    file = Path(lake.root, "blobs", identity(b"seen twice")[:2], identity(b"seen twice"))
    os.utime(file, (0, 0))
    before = time.time() - 60
    (orphan,) = blobs.orphans(lake, before)
    blobs.put(lake, identity(b"seen twice"), b"seen twice")  # its row is about to follow
    assert not blobs.remove_orphan(lake, orphan, before)
    assert file.exists()


WRITER = """
import sys
sys.path[:0] = sys.argv[3:]
from test_maintenance import embed
from lake.tables import Lake
embed(Lake(sys.argv[1]), 40, first=int(sys.argv[2]))
"""
KEEPER = """
import sys
from datetime import timedelta
from lake.maintenance import tend
from lake.tables import Lake
while True:
    tend(Lake(sys.argv[1]), "embeddings", timedelta(days=7))
"""


def started(program: str, *words: object) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words), str(here), str(here.parent)], cwd=here.parents[1]
    )


@pytest.mark.parametrize("moment", range(3, 8))
def test_of_two_merges_of_the_same_files_one_is_taken(lake, monkeypatch, moment):
    """They are not told apart by the storage layer, which would hold every row twice."""
    embed(lake, FEWEST_FILES)
    before, opened, calls = read(lake), tables.open_table, []

    def interrupted(*given: object) -> DeltaTable:
        """Open a table; somebody else tends it before that one is used."""
        handle = opened(*given)
        calls.append(given)
        if len(calls) == moment:
            monkeypatch.setattr(tables, "open_table", opened)
            assert tend(lake, "embeddings", WEEK).merged
        return handle

    monkeypatch.setattr(tables, "open_table", interrupted)
    tend(lake, "embeddings", WEEK)
    assert len(calls) == moment
    monkeypatch.setattr(tables, "open_table", opened)
    assert read(lake).equals(before)


def test_a_merge_that_another_one_has_overtaken_is_planned_anew(lake, monkeypatch):
    embed(lake, FEWEST_FILES)
    before, merging, overtaken = read(lake), DeltaTable.optimize, []

    def late(handle: DeltaTable) -> object:
        if not overtaken:
            overtaken.append(handle)
            assert tend(lake, "embeddings", WEEK).merged
        return merging.fget(handle)

    monkeypatch.setattr(DeltaTable, "optimize", property(late))
    tend(lake, "embeddings", WEEK)
    assert overtaken
    assert read(lake).equals(before)


def test_writers_and_two_keepers_beside_each_other_lose_and_double_nothing(lake):
    embed(lake, FEWEST_FILES)
    keepers = [started(KEEPER, lake.root) for _ in range(2)]
    writers = [started(WRITER, lake.root, first) for first in (100, 200)]
    try:
        assert [writer.wait(200) for writer in writers] == [0, 0]
        assert [keeper.poll() for keeper in keepers] == [None, None]
    finally:
        for keeper in keepers:
            keeper.kill()
            keeper.wait()
    expected = [
        f"{side}{number:03}" for number in (*range(FEWEST_FILES), *range(100, 140), *range(200, 240)) for side in "ab"
    ]
    assert sorted(read(lake)["image_id"]) == sorted(expected)


def test_killed_at_any_moment_it_is_safe_to_run_again(lake):
    chance = np.random.default_rng(0)
    for number in range(4):
        embed(lake, FEWEST_FILES, first=100 * number)
        before, version = read(lake), newest(lake)
        keeper = started(KEEPER, lake.root)
        deadline = time.monotonic() + 30
        while newest(lake) == version and time.monotonic() < deadline:  # until it is at work
            time.sleep(chance.uniform(0, 0.02))
        keeper.send_signal(signal.SIGKILL)
        keeper.wait()
        assert read(lake).equals(before)
        assert read(lake, version).equals(before)
    tend(lake, "embeddings", WEEK)
    assert not tend(lake, "embeddings", WEEK).committed
    assert read(lake).equals(before)
