"""A process that is killed (-9) while it takes in photographs, and then the same again."""

import pytest
from own_processes import at_once, killed_after_append, killed_after_seconds
from small_pictures import cut, lay, picture
from taking_in import content, take_in

from lake import intake, query, tables
from lake.sources.table import TableSource
from lake.tables import Lake

ITEMS_IN_SHARD = 3
SHARDS = 2


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Six items in two shards, each of which writes to every table that an intake writes to."""
    folder = tmp_path_factory.mktemp("source")
    lines, files = ["image,species,seen"], {}
    for shard in range(SHARDS):
        lines += [f"{shard}a.jpg,s{shard},o{shard}", f"{shard}b.jpg,s{shard + 1},o{shard}", f"{shard}c.jpg,s0,x{shard}"]
        files |= {
            f"{shard}a.jpg": picture(shard),
            f"{shard}b.jpg": picture(shard // 2),
            f"{shard}c.jpg": cut(picture(9)),
        }
    lay(folder, {"photographs.csv": "\n".join(lines).encode(), **files})
    return TableSource(folder / "photographs.csv", "image", "species", "seen")


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("undisturbed") / "lake"))
    tables.create_missing(lake)
    assert take_in(lake, "d", source, ITEMS_IN_SHARD).found == SHARDS * ITEMS_IN_SHARD
    return content(lake)


def check(lake):
    """Hold the tables against the rules that the flow holds them against."""
    records, images = tables.latest(lake, "image_records", "images")
    query.check(lake, "every_record_has_its_image", [records, images], dataset="d")


# Each commit of a shard is followed by another one: these are all the places where a kill leaves a shard in halves.
@pytest.mark.parametrize("table", ["images", "species", "labels", "ingest_issues", "image_records"])
def test_a_killed_intake_that_is_run_again_ends_as_if_it_had_not_been_killed(source, undisturbed, lake, table):
    assert killed_after_append(take_in, (lake, "d", source, ITEMS_IN_SHARD), table, 2)
    check(lake)
    take_in(lake, "d", source, ITEMS_IN_SHARD)
    assert content(lake) == undisturbed
    assert take_in(lake, "d", source, ITEMS_IN_SHARD).committed == ()


def test_an_intake_that_is_killed_again_and_again_gets_done(source, undisturbed, lake):
    for table in ("images", "labels", "image_records"):
        assert killed_after_append(take_in, (lake, "d", source, ITEMS_IN_SHARD), table, 1)
        check(lake)
    take_in(lake, "d", source, ITEMS_IN_SHARD)
    assert content(lake) == undisturbed


def test_an_intake_may_be_killed_at_any_moment(source, undisturbed, lake):
    for seconds in (0.02, 0.05, 0.08, 0.12):
        killed_after_seconds(take_in, (lake, "d", source, 1), seconds)
        check(lake)
    take_in(lake, "d", source, ITEMS_IN_SHARD)
    assert content(lake) == undisturbed


def test_two_intakes_of_one_source_at_once_end_as_one(source, undisturbed, lake):
    assert at_once(take_in, (lake, "d", source, 1), (lake, "d", source, ITEMS_IN_SHARD)) == [0, 0]
    check(lake)
    found = content(lake)
    # A label set that both saw missing is written by both, each at its time; the latest holds, and they are the same.
    assert {**found, "labels": sorted(set(found["labels"]))} == undisturbed
    assert intake.known(lake, "d", source.uri).labels == {
        f"o{number}": frozenset({f"s{number}", f"s{number + 1}"}) for number in range(SHARDS)
    }
