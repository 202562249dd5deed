"""A look at every source: what came in, what is missing, what gets its vectors."""

import shutil
from pathlib import Path

import pytest
from homes import content, versions

from flows import settings
from flows.embed import embed
from flows.ingest import ingest_folder, ingest_retry, ingest_table
from flows.watch import watch
from lake import tables
from lake.errors import LakeError


@pytest.fixture(scope="module")
def made(flora, backbone, empty_home, tmp_path_factory):
    """Two folders are on record, each as a data set; the photographs of the second one are embedded."""
    folders = tmp_path_factory.mktemp("watched")
    for parity, name in enumerate(("first", "second")):
        shutil.copytree(flora.folder / "plants", folders / name)
        for photograph in sorted((folders / name).rglob("*.*"))[1 - parity :: 2]:
            photograph.unlink()
    for photograph in sorted((folders / "second").rglob("*.*"))[:3]:
        place = folders / "aside" / photograph.relative_to(folders / "second")
        place.parent.mkdir(parents=True, exist_ok=True)
        photograph.rename(place)
    home = shutil.copytree(empty_home, folders / "home")
    for name in ("first", "second"):
        ingest_folder.fn(folders / name, name, home=home)
    embed.fn("second", backbone, ["whole", "grid-2x2"], dtype="float32", home=home)
    return folders, shutil.copytree(folders, tmp_path_factory.mktemp("saved") / "watched")


@pytest.fixture
def folders(made):
    """The place as it was made: its sources are known by their paths, so that no copy will do."""
    place, saved = made
    shutil.rmtree(place)
    return shutil.copytree(saved, place)


@pytest.fixture
def watched(folders):
    return folders / "home"


def drop(folders: Path) -> None:
    shutil.copytree(folders / "aside", folders / "second", dirs_exist_ok=True)


def test_a_place_without_a_source_is_told_so_and_left_as_it_is(tmp_path):
    report = watch.fn(home=tmp_path / "home")
    assert report.lines() == ["no source is on record: `taxalake ingest` brings the first one in"]
    assert not (tmp_path / "home").exists()


def test_a_data_set_that_nobody_knows_is_refused(watched):
    with pytest.raises(LakeError, match="no photograph of a data set 'nosuch'"):
        watch.fn("nosuch", home=watched)


def test_photographs_that_were_dropped_come_in_and_get_their_vectors_where_others_have_them(watched, folders):
    drop(folders)
    report = watch.fn(home=watched)
    assert [(done.dataset, done.kept) for done in report.new] == [("second", 3)]
    (embedded,) = report.embedded
    assert {scheme: counts.embedded for scheme, counts in embedded.schemes.items()} == {"whole": 3, "grid-2x2": 3}
    records = content(watched, "image_records")
    mine = {row["image_id"] for row in records if row["dataset"] == "second"}
    vectors = content(watched, "embeddings")
    assert {row["image_id"] for row in vectors} == mine
    assert len({row["embedding_key"] for row in vectors}) == 1
    assert report.committed


def test_a_look_that_finds_nothing_commits_nothing(watched):
    before = versions(watched)
    report = watch.fn(home=watched)
    assert versions(watched) == before
    assert not report.committed
    assert report.lines() == ["nothing new in 2 of 2 sources"]


def test_what_a_killed_embedding_has_left_gets_its_vectors_though_no_photograph_is_new(watched, folders):
    drop(folders)
    ingest_folder.fn(folders / "second", "second", home=watched)
    report = watch.fn(home=watched)
    assert report.new == []
    assert [done.schemes["whole"].embedded for done in report.embedded] == [3]


def test_a_folder_that_is_gone_is_told_of_and_the_others_are_looked_into(watched, folders):
    drop(folders)
    shutil.rmtree(folders / "first")
    report = watch.fn(home=watched)
    assert list(report.missing) == [str(folders / "first")]
    assert "there is no folder" in report.lines()[0]
    assert [done.kept for done in report.new] == [3]


def test_a_source_that_is_refused_fails_the_look_after_the_others_are_done(watched, folders):
    drop(folders)
    for number in range(200):
        (folders / "first" / f"{number}.jpg").write_bytes(b"no photograph")
    with pytest.raises(LakeError, match=r"(?s)first: .*max-loss"):
        watch.fn(home=watched)
    assert len([row for row in content(watched, "embeddings") if row["scheme_id"] == "whole"]) == 30


def test_a_table_that_cannot_be_opened_is_told_of_and_the_others_are_looked_into(watched, folders):
    table = folders / "table.csv"
    table.write_text("image\nnone.jpg\n")
    ingest_table.fn(table, "a-table", "image", max_loss=1.0, home=watched)
    drop(folders)
    table.unlink()
    table.symlink_to("a" * 300)
    report = watch.fn(home=watched)
    assert "File name too long" in report.missing[str(table)]
    assert [done.kept for done in report.new] == [3]


def test_what_the_web_does_not_give_is_asked_for_after_a_pause_by_a_look_and_at_once_by_hand(tmp_path):
    home, table = tmp_path / "home", tmp_path / "table.csv"
    home.mkdir()
    (home / "taxalake.toml").write_text("allow_private_addresses = true\n")
    table.write_text("url\n" + "".join(f"http://127.0.0.1:9/{number}.jpg\n" for number in range(3)))

    def attempts() -> list[int]:
        return sorted(row["attempt"] for row in content(home, "file_reads"))

    ingest_table.fn(table, "web", url_column="url", home=home)
    before = versions(home)
    assert not watch.fn(home=home).committed
    assert versions(home) == before
    ingest_retry.fn("web", home=home)
    assert attempts() == [1, 1, 1, 2, 2, 2]
    ingest_table.fn(table, "web", url_column="url", home=home)
    assert attempts() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    reads = tables.open_table(settings.load(home=home).lake, "file_reads")
    reads.update(updates={"read_at": "read_at - interval '21 minutes'"})
    watch.fn(home=home)
    assert attempts()[-3:] == [4, 4, 4]


def test_one_data_set_can_be_watched_alone(watched, folders):
    drop(folders)
    report = watch.fn("first", home=watched)
    assert (report.sources, report.new, report.embedded) == (1, [], [])


def test_a_backbone_that_is_gone_keeps_no_other_data_set_without_vectors(watched, folders, backbone, tmp_path):
    moved = shutil.copytree(backbone, tmp_path / "another")
    embed.fn("first", str(moved), ["whole"], jpeg_round_trip="85-4:2:2", dtype="float32", home=watched)
    shutil.rmtree(moved)
    photograph = next((folders / "aside").rglob("*.*"))
    place = folders / "first" / photograph.relative_to(folders / "aside")
    shutil.copy(photograph, place.with_stem("new"))
    place.with_stem("new").write_bytes(photograph.read_bytes())
    drop(folders)
    with pytest.raises(LakeError, match=r"first at whole: .*another"):
        watch.fn(home=watched)
    second = {row["image_id"] for row in content(watched, "image_records") if row["dataset"] == "second"}
    whole = {row["image_id"] for row in content(watched, "embeddings") if row["scheme_id"] == "whole"}
    assert second <= whole


def test_watch_is_a_command(taxalake, watched):
    told = taxalake("watch", "--dataset", "second", "--json", at=watched)
    assert told.code == 0, told.err
    assert (told.json["sources"], told.json["committed"]) == (1, False)
