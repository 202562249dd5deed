"""A process that is killed (-9) while it takes in photographs, and then the same again."""

import random
import time

import pytest
from own_processes import (
    at_once,
    killed_after_append,
    killed_after_hashing,
    killed_after_seconds,
    killed_before_append,
)
from small_pictures import cut, lay, picture
from taking_in import content, take_in

from lake import query, tables
from lake.files.folder import FolderFiles
from lake.sources.table import TableSource
from lake.tables import Lake

IMAGES_IN_SHARD = 3
SHARDS = 2
COMMITTED = ["images", "file_reads", "ingest_sources", "species", "labels", "ingest_issues", "image_records"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Six photographs in two shards, and a row without one; every table that an intake writes to gets rows."""
    folder = tmp_path_factory.mktemp("source")
    lines, files = ["image,species,seen", "lost.jpg,s0,o0"], {}
    for shard in range(SHARDS):
        lines += [f"{shard}a.jpg,s{shard},o{shard}", f"{shard}b.jpg,s{shard + 1},o{shard}", f"{shard}c.jpg,s0,x{shard}"]
        files |= {
            f"{shard}a.jpg": picture(shard),
            f"{shard}b.jpg": picture(shard // 2),
            f"{shard}c.jpg": cut(picture(9, size=(64, 64))),
        }
    lay(folder, {"photographs.csv": "\n".join(lines).encode(), **files})
    return TableSource(folder / "photographs.csv", FolderFiles(folder), "image", "species", "seen")


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("undisturbed") / "lake"))
    tables.create_missing(lake)
    assert take_in(lake, "d", source, IMAGES_IN_SHARD).count.found == SHARDS * IMAGES_IN_SHARD + 1
    return content(lake)


def check(lake):
    """Hold the tables against the rule that readers rely on at any moment."""
    records, images = tables.latest(lake, "image_records", "images")
    query.check(lake, "every_record_has_its_image", [records, images], dataset="d")


def finish(lake, source, undisturbed):
    """Run it again, and once more: the end is that of an undisturbed run, and then nothing is left to do."""
    check(lake)
    take_in(lake, "d", source, IMAGES_IN_SHARD)
    assert content(lake) == undisturbed
    again = take_in(lake, "d", source, IMAGES_IN_SHARD)
    assert (again.read.files, again.committed) == (0, [])


@pytest.mark.parametrize("table", COMMITTED)
@pytest.mark.parametrize("killed", [killed_before_append, killed_after_append])
def test_an_intake_killed_beside_a_commit_ends_as_if_undisturbed_when_run_again(
    source, undisturbed, lake, killed, table
):
    assert killed(take_in, (lake, "d", source, IMAGES_IN_SHARD), table, 1)
    finish(lake, source, undisturbed)


@pytest.mark.parametrize("killed", [killed_before_append, killed_after_append])
@pytest.mark.parametrize("table", ["images", "file_reads"])
def test_an_intake_killed_in_its_second_shard_does_not_read_the_first_again(source, undisturbed, lake, killed, table):
    assert killed(take_in, (lake, "d", source, IMAGES_IN_SHARD), table, 2)
    assert take_in(lake, "d", source, IMAGES_IN_SHARD).read.files <= IMAGES_IN_SHARD
    finish(lake, source, undisturbed)


@pytest.mark.parametrize("count", [1, 4])
def test_an_intake_killed_after_hashing_ends_as_if_undisturbed_when_run_again(source, undisturbed, lake, count):
    assert killed_after_hashing(take_in, (lake, "d", source, IMAGES_IN_SHARD), count)
    finish(lake, source, undisturbed)


def test_an_intake_that_is_killed_again_and_again_gets_done(source, undisturbed, lake):
    for table in ("images", "labels", "image_records"):
        assert killed_after_append(take_in, (lake, "d", source, IMAGES_IN_SHARD), table, 1)
        check(lake)
    finish(lake, source, undisturbed)


@pytest.mark.parametrize("moments", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_an_intake_may_be_killed_at_any_moment(source, undisturbed, lake, tmp_path, moments):
    other = Lake(str(tmp_path / "timed"))
    tables.create_missing(other)
    began = time.monotonic()
    take_in(other, "d", source, 1)
    lasted = time.monotonic() - began
    drawn = random.Random(moments)
    seen = []
    for part in range(moments):  # one in each part of the time
        moment = lasted * (part + drawn.random()) / moments
        was_killed = killed_after_seconds(take_in, (lake, "d", source, 1), moment)
        seen.append((was_killed, tables.latest(lake, "file_reads")[0].version))
        check(lake)
    # some were killed, and something had been committed by then
    assert any(was_killed and version for was_killed, version in seen)
    finish(lake, source, undisturbed)


def test_two_intakes_of_one_source_at_once_end_as_one(source, undisturbed, lake):
    assert at_once(take_in, (lake, "d", source, 1), (lake, "d", source, IMAGES_IN_SHARD)) == [0, 0]
    check(lake)
    assert content(lake) == undisturbed


def test_two_intakes_that_name_other_bytes_alike_at_once_keep_one_and_set_the_other_aside(tmp_path, lake):
    sources = []
    for number in range(2):
        folder = lay(tmp_path / str(number), {"t.csv": b"image,species\na.jpg,s1\n", "a.jpg": picture(number)})
        sources.append(TableSource(folder / "t.csv", FolderFiles(folder), "image", "species"))
    assert at_once(take_in, *((lake, "d", source) for source in sources)) == [0, 0]
    assert len(content(lake)["image_records"]) == 1
    assert [row[2] for row in content(lake)["ingest_issues"]] == ["name_with_other_content"]
