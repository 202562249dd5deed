import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from lake_rows import filled, held, rows
from small_pictures import bomb, cut, lay, picture, several
from taking_in import content, opened, take_in

from lake import blobs, embeddings, intake, issues, labels, tables
from lake.errors import LakeError, LossError
from lake.files.archive import archive_files
from lake.files.folder import FolderFiles
from lake.files.web import Web
from lake.images import identity
from lake.reading import Limits, Reader
from lake.sources.folder import FolderSource
from lake.sources.table import TableSource


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photographs"


def a_folder(folder, files):
    return FolderSource(FolderFiles(lay(folder, files)))


def a_table(folder, table, files=None, name="photographs.csv", **columns):
    lay(folder, {name: table.encode(), **(files or {})})
    return TableSource(folder / name, FolderFiles(folder), "image", "species", **columns)


def versions(lake):
    return {str(snapshot) for snapshot in tables.latest(lake, *tables.TABLES)}


def numbers(count):
    return {f"s{number % 3}/{number:03}.jpg": picture(number) for number in range(count)}


def test_a_photograph_is_stored_byte_for_byte_under_its_hash(lake, folder):
    photograph = picture(1, size=(24, 16), orientation=6)
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": photograph}))
    assert held(lake, "images", "image_id bytes blob_uri format width_px height_px byte_count") == [
        (identity(photograph), photograph, None, "JPEG", 16, 24, len(photograph))
    ]


def test_a_record_says_where_its_photograph_came_from(lake, folder):
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1)}))
    assert held(lake, "image_records", "dataset image_name image_id observation_id source_uri") == [
        ("d", "s1/a.jpg", identity(picture(1)), "s1/a.jpg", str(folder / "s1/a.jpg"))
    ]


def test_columns_that_no_contract_knows_are_kept_as_json(lake, folder):
    table = "image,species,colour,height\na.jpg,1,grün,0012\nb.jpg,1,,\n"
    take_in(lake, "d", a_table(folder, table, {"a.jpg": picture(1), "b.jpg": picture(2)}))
    kept = dict(held(lake, "image_records", "image_name extra"))
    assert json.loads(kept["a.jpg"]) == {"colour": "grün", "height": "0012"}
    assert kept["b.jpg"] is None


def test_what_is_found_is_kept_or_known_or_set_aside(lake, folder):
    named = ("good", "good", "cut", "text", "bomb", "lost", "empty", "moving", "dot", "../out")
    table = "image,species\n" + "".join(f"{name}.jpg,1\n" for name in named)
    files = {
        "good.jpg": picture(1),
        "cut.jpg": cut(picture(2, size=(64, 64))),
        "text.jpg": b"no photograph",
        "empty.jpg": b"",
        "bomb.jpg": bomb(60_000, 60_000),
        "more.PNG": picture(3, "PNG"),
        "moving.jpg": several("GIF", 3),
        "dot.jpg": picture(4, size=(4, 4)),
    }
    source = a_table(folder, table + ",1\na,b,c\n", files)
    taken = take_in(lake, "d", source)
    assert taken.set_aside == {
        "duplicate_name": 1,
        "truncated": 1,
        "unreadable": 1,
        "too_large": 1,
        "row_without_file": 1,
        "empty": 1,
        "animated": 1,
        "too_small": 1,
        "outside_root": 1,
        "row_without_name": 1,
        "row_malformed": 1,
        "file_without_row": 1,
    }
    count = taken.count
    assert (count.found, count.kept, count.already_known, count.set_aside, count.unread) == (13, 1, 0, 12, 0)
    assert sum(number for (number,) in held(lake, "ingest_issues", "row_count")) == 12
    again = take_in(lake, "d", source).count
    assert (again.found, again.kept, again.already_known, again.set_aside) == (13, 0, 1, 12)


def test_a_folder_of_all_sorts_is_reconciled_too(lake, folder):
    files = {"s1/a.JPG": picture(1), "s1/b.jpeg": b"", "s1/notes.txt": b"x", "s1/.DS_Store": b"x"}
    taken = take_in(lake, "d", a_folder(folder, files))
    assert (taken.count.found, taken.count.kept, taken.set_aside) == (3, 1, {"empty": 1, "not_an_image": 1})


def test_a_second_intake_reads_nothing_and_commits_nothing(lake, folder):
    table = "image,species\na.jpg,1\nb.jpg,1\nlost.jpg,1\n"
    source = a_table(folder, table, {"a.jpg": picture(1), "b.jpg": cut(picture(2, size=(64, 64)))})
    first = take_in(lake, "d", source)
    before = versions(lake)
    second = take_in(lake, "d", source)
    assert first.tables == ["ingest_sources", "species", "labels", "ingest_issues", "image_records"]
    assert (first.read.files, second.read.files, second.committed) == (2, 0, [])
    assert versions(lake) == before


def test_shards_of_any_size_bring_the_same_rows(tmp_path, folder):
    table = "image,species,seen\n" + "".join(f"{number}.jpg,{number % 3},o{number // 2}\n" for number in range(7))
    files = {f"{number}.jpg": picture(number // 2) for number in range(7)}
    source = a_table(folder, table + "lost.jpg,1,o1\n", files, observation_column="seen")
    brought = []
    for size in (2, 100):
        lake = tables.Lake(str(tmp_path / f"lake{size}"))
        tables.create_missing(lake)
        take_in(lake, "d", source, size)
        brought.append(content(lake))
    assert brought[0] == brought[1]


def test_a_photograph_comes_out_of_a_tar_and_a_zip_as_out_of_a_folder(lake, tmp_path):
    lay(tmp_path / "photographs", numbers(4))
    of_folder = take_in(lake, "folder", FolderSource(FolderFiles(tmp_path / "photographs")))
    for form in ("tar", "zip"):
        packed = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "photographs")
        taken = take_in(lake, form, FolderSource(archive_files(Path(packed))))
        assert (taken.count.kept, taken.read.images) == (of_folder.count.kept, 0)
        assert held(lake, "image_records", "image_name image_id source_uri")[-1][2]
    names = set(held(lake, "image_records", "image_name image_id"))
    assert len(names) == 4


@pytest.mark.parametrize("images_in_shard", [1, 2])
def test_the_same_bytes_under_two_names_are_stored_once_and_noted(lake, folder, images_in_shard):
    taken = take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": picture(1)}), images_in_shard)
    assert (taken.count.kept, taken.count.set_aside) == (2, 0)
    assert held(lake, "images", "image_id") == [(identity(picture(1)),)]
    assert held(lake, "image_records", "image_name") == [("s1/a.jpg",), ("s1/b.jpg",)]
    assert held(lake, "ingest_issues", "image_name kind detail is_set_aside") == [
        ("s1/b.jpg", "duplicate_content", "the same bytes as s1/a.jpg", False)
    ]


def test_the_same_bytes_under_two_species_are_kept_and_noted_under_both_names(lake, folder):
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1), "s2/b.jpg": picture(1)}))
    notes = held(lake, "ingest_issues", "image_name kind detail")
    assert [note for note in notes if note[1] == "content_of_two_species"] == [
        (name, "content_of_two_species", "its bytes are labelled s1 and s2") for name in ("s1/a.jpg", "s2/b.jpg")
    ]


def test_the_same_bytes_in_another_data_set_are_stored_once_and_on_record_twice(lake, folder):
    source = a_folder(folder, {"s1/a.jpg": picture(1)})
    take_in(lake, "d", source)
    again = take_in(lake, "e", source)
    assert (again.count.kept, again.read.files) == (1, 0)
    assert len(held(lake, "images", "image_id")) == 1
    assert held(lake, "image_records", "dataset") == [("d",), ("e",)]


@pytest.mark.parametrize(("newer", "kind"), [(picture(2), "name_with_other_content"), (b"", "empty")])
def test_a_known_name_with_other_bytes_is_set_aside_and_the_first_stay(lake, folder, newer, kind):
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1)}))
    taken = take_in(lake, "d", a_folder(folder, {"s1/a.jpg": newer}))
    assert (taken.count.kept, taken.count.already_known, taken.set_aside) == (0, 0, {kind: 1})
    assert held(lake, "image_records", "image_id") == [(identity(picture(1)),)]


def test_other_bytes_say_which_are_known(lake, folder):
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1)}))
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(2)}))
    ((detail,),) = held(lake, "ingest_issues", "detail")
    assert identity(picture(1))[:12] in detail


def test_a_photograph_that_was_mended_is_taken_in(lake, folder):
    assert take_in(lake, "d", a_folder(folder, {"s1/a.jpg": cut(picture(1, size=(64, 64)))})).count.kept == 0
    assert take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1)})).count.kept == 1


def test_a_file_of_known_place_size_and_time_is_not_opened(lake, folder):
    source = a_folder(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": b"junk"})
    take_in(lake, "d", source)
    for path in (folder / "s1/a.jpg", folder / "s1/b.jpg"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    taken = take_in(lake, "d", source)
    assert (taken.read.files, taken.count.already_known, taken.set_aside) == (0, 1, {"unreadable": 1})
    assert take_in(lake, "d", source, read_all=True).read.files == 2


def test_a_file_with_another_time_is_read_again_and_the_same_bytes_are_known(lake, folder):
    source = a_folder(folder, {"s1/a.jpg": picture(1)})
    take_in(lake, "d", source)
    os.utime(folder / "s1/a.jpg", (1, 1))
    taken = take_in(lake, "d", source)
    assert (taken.read.files, taken.count.already_known, taken.read.images, taken.committed) == (1, 1, 0, [])


def test_what_was_refused_is_read_again_when_it_is_asked_for_by_kind(lake, folder):
    source = a_folder(folder, {"s1/a.jpg": b"junk", "s1/b.jpg": b""})
    take_in(lake, "d", source)
    assert take_in(lake, "d", source, retried=["unreadable"]).read.files == 1
    issues = held(lake, "ingest_issues", "image_name kind attempts")
    assert issues == [("s1/a.jpg", "unreadable", 1), ("s1/a.jpg", "unreadable", 2), ("s1/b.jpg", "empty", 1)]


def test_a_reason_that_may_have_passed_is_looked_at_again_each_time(lake, folder):
    class Flickering(FolderFiles):
        def read(self, file):
            (folder / "s1/a.jpg").touch()  # another time than the listing's: it is being written
            return super().read(file)

    lay(folder, {"s1/a.jpg": picture(1)})
    os.utime(folder / "s1/a.jpg", (1, 1))
    taken = take_in(lake, "d", FolderSource(Flickering(folder)))
    assert (taken.count.kept, taken.set_aside) == (0, {"changed_while_reading": 1})
    assert take_in(lake, "d", FolderSource(FolderFiles(folder))).count.kept == 1


def test_a_large_photograph_lies_in_a_file_of_its_own_named_by_its_content(lake, folder):
    large, small = picture(1, size=(400, 300)), picture(2)
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": large, "s1/b.jpg": small}), inline_bytes=len(small))
    uri = f"blobs/{identity(large)[:2]}/{identity(large)}"
    assert set(held(lake, "images", "bytes blob_uri")) == {(None, uri), (small, None)}
    assert (Path(lake.root) / uri).read_bytes() == large
    (images,) = tables.latest(lake, "images")
    assert embeddings.images_of(lake, images, [identity(large)]) == {identity(large): large}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x"), lambda path: path.unlink()])
def test_a_damaged_file_of_a_large_photograph_is_an_error_and_mended_by_reading_again(lake, folder, damage):
    large = picture(1, size=(400, 300))
    source = a_folder(folder, {"s1/a.jpg": large})
    take_in(lake, "d", source, inline_bytes=100)
    (uri,) = held(lake, "images", "blob_uri")[0]
    damage(Path(lake.root) / uri)
    with pytest.raises(LakeError, match=r"Take its source in again with --reread"):
        blobs.get(lake, identity(large), uri)
    taken = take_in(lake, "d", source, inline_bytes=100, read_all=True)
    assert blobs.get(lake, identity(large), uri) == large
    assert (taken.read.images, taken.committed) == (0, [])


def test_a_correction_appends_and_only_the_latest_labels_hold(lake, folder):
    files = {"a.jpg": picture(1), "b.jpg": picture(2)}
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,wrong\nb.jpg,1\n", files))
    assert take_in(lake, "d", a_table(folder, "image,species\na.jpg,right\nb.jpg,1\n")).tables == ["species", "labels"]
    assert len(held(lake, "labels", "species_id")) == 3
    assert rows(labels.current(lake, "d")) == [("a.jpg", "right"), ("b.jpg", "1")]


def test_a_label_that_is_taken_back_no_longer_holds(lake, folder):
    def quadrat(species):
        table = f"image,species\na.jpg,{species}\n"
        return a_table(folder, table, {"a.jpg": picture(1)}, species_separator=";")

    take_in(lake, "d", quadrat("1;2"))
    take_in(lake, "d", quadrat("1"))
    assert rows(labels.current(lake, "d")) == [("a.jpg", "1")]
    take_in(lake, "d", quadrat("2;1"))
    assert rows(labels.current(lake, "d")) == [("a.jpg", "1"), ("a.jpg", "2")]


def test_an_emptied_cell_withdraws_the_label_once(lake, folder):
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\n", {"a.jpg": picture(1)}))
    emptied = a_table(folder, "image,species\na.jpg,\n")
    assert take_in(lake, "d", emptied).tables == ["labels"]
    assert take_in(lake, "d", emptied).committed == []
    assert rows(labels.current(lake, "d")) == []
    assert take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\n")).tables == ["labels"]
    assert rows(labels.current(lake, "d")) == [("a.jpg", "1")]


def test_an_observation_that_a_table_names_no_more_keeps_its_label(lake, folder):
    files = {"a.jpg": picture(1), "b.jpg": picture(2)}
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\nb.jpg,2\n", files))
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\n"))
    assert rows(labels.current(lake, "d")) == [("a.jpg", "1"), ("b.jpg", "2")]


def test_a_photograph_without_a_file_labels_nothing(lake, folder):
    take_in(lake, "d", a_table(folder, "image,species\nlost.jpg,1\na.jpg,2\n", {"a.jpg": picture(1)}))
    assert held(lake, "labels", "observation_id") == [("a.jpg",)]
    assert held(lake, "species", "species_id") == [("2",)]


def test_two_issues_of_one_kind_and_name_are_one_row_that_counts_both(lake, folder):
    table = "image,species\n" + "a.jpg,1\n" * 3
    assert take_in(lake, "d", a_table(folder, table, {"a.jpg": picture(1)})).set_aside == {"duplicate_name": 2}
    assert held(lake, "ingest_issues", "image_name kind row_count") == [("a.jpg", "duplicate_name", 2)]


def test_issues_are_committed_in_parts_and_none_is_lost(lake, folder, monkeypatch):
    monkeypatch.setattr(intake, "_ROWS_IN_COMMIT", 4)
    table = "image,species\n" + "".join(f"{number}.jpg,1\n" for number in range(11))
    taken = take_in(lake, "d", a_table(folder, table, {"0.jpg": picture(1)}))
    assert [done.row_count for done in taken.committed if done.snapshot.table == "ingest_issues"] == [4, 4, 2]
    assert len(held(lake, "ingest_issues", "image_name")) == 10


def test_a_writer_that_comes_in_between_two_parts_of_the_issues_is_seen(lake, folder, monkeypatch):
    monkeypatch.setattr(intake, "_ROWS_IN_COMMIT", 4)
    write, seen = tables.write_deltalake, []

    def overtaken(handle, rows, **options):
        write(handle, rows, **options)
        if "ingest_issues" in handle.table_uri and not seen:
            seen.append(True)
            issues.note(lake, "d", "not_hashed", {"x.jpg": "no"}, "other")

    monkeypatch.setattr(tables, "write_deltalake", overtaken)
    table = "image,species\n" + "".join(f"{number}.jpg,1\n" for number in range(11))
    take_in(lake, "d", a_table(folder, table, {"0.jpg": picture(1)}))
    assert len(held(lake, "ingest_issues", "image_name kind")) == 10 + 1
    assert len(set(held(lake, "ingest_issues", "image_name kind"))) == 10 + 1


def test_a_file_that_vanishes_before_it_is_read_is_set_aside(lake, folder):
    class Vanishing(FolderFiles):
        def read(self, file):
            Path(file.location).unlink()
            return super().read(file)

    lay(folder, {"s1/a.jpg": picture(1)})
    assert take_in(lake, "d", FolderSource(Vanishing(folder))).set_aside == {"cannot_be_opened": 1}


@pytest.mark.parametrize(
    "table", ["images", "file_reads", "ingest_sources", "species", "labels", "ingest_issues", "image_records"]
)
def test_an_intake_whose_commit_failed_is_finished_when_it_is_tried_again(lake, folder, monkeypatch, table):
    source = a_table(folder, "image,species\na.jpg,1\nlost.jpg,1\n", {"a.jpg": picture(1)})
    write = tables.write_deltalake

    def fail(handle, *rest, **options):
        if handle.table_uri.rstrip("/").endswith(f"/{table}"):
            raise OSError("the disk is full")
        return write(handle, *rest, **options)

    monkeypatch.setattr(tables, "write_deltalake", fail)
    with pytest.raises(LakeError, match=r"rows cannot be written .* and none of them is: the disk is full"):
        take_in(lake, "d", source)
    monkeypatch.undo()
    count = take_in(lake, "d", source).count
    assert (count.found, count.kept, count.set_aside) == (2, 1, 1)
    assert {name: len(found) for name, found in content(lake).items()} == dict.fromkeys(content(lake), 1)


def test_the_photographs_themselves_are_left_as_they_were(lake, folder):
    source = a_folder(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": cut(picture(2))})
    before = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    take_in(lake, "d", source)
    assert {path: path.read_bytes() for path in folder.rglob("*.jpg")} == before


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("a.jpg,1,o2,train", "its observation is o1 on record and o2 here"),
        ("a.jpg,1,o1,test", "its split is train on record and test here"),
    ],
)
def test_a_photograph_that_moved_in_the_data_set_is_set_aside_and_its_record_stays(lake, folder, row, detail):
    def told(line):
        table = f"image,species,seen,split\n{line}\n"
        columns = {"observation_column": "seen", "split_column": "split"}
        return take_in(lake, "d", a_table(folder, table, {"a.jpg": picture(1)}, **columns))

    told("a.jpg,1,o1,train")
    taken = told(row)
    assert (taken.count.already_known, taken.set_aside) == (0, {"record_changed": 1})
    assert held(lake, "image_records", "observation_id split_tag") == [("o1", "train")]
    assert held(lake, "labels", "observation_id") == [("o1",)]
    assert detail in held(lake, "ingest_issues", "detail")[0][0]


def test_a_file_that_another_table_of_the_data_set_named_is_no_file_without_row(lake, folder):
    lay(folder, {f"{name}.jpg": picture(number) for number, name in enumerate("abc")})
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\n", name="1.csv"))
    count = take_in(lake, "d", a_table(folder, "image,species\nb.jpg,1\n", name="2.csv")).count
    assert (count.found, count.kept, count.already_known, count.set_aside) == (3, 1, 1, 1)


def test_two_tables_that_differ_on_one_observation_say_their_word_once_each(lake, folder):
    one = a_table(folder, "image,species\na.jpg,s1\n", {"a.jpg": picture(1)}, name="1.csv")
    two = a_table(folder, "image,species\na.jpg,s2\n", name="2.csv")
    written = [take_in(lake, "d", source).tables for source in (one, two, one, two)]
    assert [brought.count("labels") for brought in written] == [1, 1, 0, 0]
    assert rows(labels.current(lake, "d")) == [("a.jpg", "s2")]


def lossy(folder, good, lost):
    table = "image,species\n" + "".join(f"{number}.jpg,s{number % 4}\n" for number in range(good + lost))
    return a_table(folder, table, {f"{number}.jpg": picture(number) for number in range(good)})


def test_more_loss_than_is_accepted_stops_before_anything_comes_on_record(lake, folder):
    with pytest.raises(LossError) as stopped:
        take_in(lake, "d", lossy(folder, 30, 21), most_loss=0.01)
    words = str(stopped.value)
    assert "21 of 51 new rows and files" in words
    assert "(41.2%) would be set aside, and 1.0% is what is accepted" in words
    assert "row_without_file" in words
    assert "--max-loss 0.42" in words
    # before the first photograph is read: the rows and the listing show it
    assert content(lake) == {table: [] for table in content(lake)}


def test_the_loss_is_counted_by_reason_and_extension_with_the_species(lake, folder):
    with pytest.raises(LossError, match=r"row_without_file +jpg +21 +4 +30\.jpg"):
        take_in(lake, "d", lossy(folder, 30, 21), most_loss=0.01)


def test_the_species_that_lose_most_are_named_with_their_rows(lake, folder):
    named = ["a", "a", "b", "b", "b", "c", *["d\x1b[2J"] * 4] * 3
    table = "image,species\n" + "".join(f"{number}.jpg,{species}\n" for number, species in enumerate(named))
    with pytest.raises(LossError) as stopped:
        take_in(lake, "d", a_table(folder, table), most_loss=0.01)
    lines = str(stopped.value).splitlines()
    (place,) = (number for number, line in enumerate(lines) if "row_without_file" in line)
    assert lines[place + 1].strip() == r"most rows by species: d\x1b[2J 12, b 9, a 6"


def test_a_loss_of_no_species_names_none(lake, folder):
    source = a_table(folder, "image,species\n0.jpg,s\n", {f"{number}.jpg": picture(number) for number in range(22)})
    with pytest.raises(LossError, match=r"file_without_row +jpg +21 +0  ") as stopped:
        take_in(lake, "d", source, most_loss=0.01)
    assert "by species" not in str(stopped.value)


def test_loss_that_only_reading_shows_stops_before_the_records(lake, folder):
    files = {f"s1/{number}.jpg": picture(number) if number < 5 else cut(picture(number)) for number in range(30)}
    source = a_folder(folder, files)
    with pytest.raises(LossError, match=r"25 of 30"):
        take_in(lake, "d", source, most_loss=0.5)
    assert held(lake, "image_records", "image_name") == []
    assert held(lake, "ingest_issues", "image_name") == []
    # accepted, it goes on from what was read
    taken = take_in(lake, "d", source, most_loss=0.9)
    assert (taken.read.files, taken.count.kept, taken.count.set_aside) == (0, 5, 25)


@pytest.mark.parametrize(("good", "lost", "most"), [(0, 20, 0.01), (79, 21, 0.21)])
def test_twenty_lost_photographs_or_an_accepted_share_are_no_reason_to_stop(lake, folder, good, lost, most):
    assert take_in(lake, "d", lossy(folder, good, lost), most_loss=most).count.set_aside == lost


def test_what_was_accepted_once_does_not_stop_the_next_intake(lake, folder):
    take_in(lake, "d", lossy(folder, 10, 30), most_loss=1.0)
    assert take_in(lake, "d", lossy(folder, 10, 30), most_loss=0.0).count.set_aside == 30


def test_a_new_loss_is_held_against_what_is_new_and_not_against_what_was_there(lake, folder):
    files = numbers(200)
    take_in(lake, "d", a_folder(folder, files), most_loss=0.0)
    broken = {f"s9/{number}.jpg": b"" for number in range(21)}
    with pytest.raises(LossError, match=r"21 of 21"):
        take_in(lake, "d", a_folder(folder, broken), most_loss=0.5)


def test_shards_may_be_read_at_once(lake, folder):
    source = a_folder(folder, numbers(40))

    taken = take_in(lake, "d", source, images_in_shard=3, at_once=4)
    assert (taken.count.kept, taken.read.files, taken.read.images) == (40, 40, 40)
    assert len(held(lake, "images", "image_id")) == 40


def test_a_shard_holds_as_many_files_and_bytes_as_fit(lake, folder):
    def sizes(**limits):
        with opened(lake, a_folder(folder, {f"s1/{number}.jpg": b"x" * 10 for number in range(5)})) as work:
            work.find_pending()
            return [len(shard) for shard in work.shards(Limits(**limits))]

    assert sizes(shard_images=2) == [2, 2, 1]
    assert sizes(shard_bytes=25) == [2, 2, 1]
    assert sizes(shard_bytes=5) == [1] * 5


def test_of_two_files_of_one_name_the_one_at_the_rows_path_is_its_photograph(lake, folder):
    files = {"A/1.jpg": picture(1), "B/1.jpg": picture(2, size=(48, 32))}
    source = a_table(folder, "image,species\nA/1.jpg,x\nB/1.jpg,y\n", files, names_are_unique=True)
    take_in(lake, "d", source)
    assert held(lake, "image_records", "image_name image_id") == [
        ("A/1.jpg", identity(picture(1))),
        ("B/1.jpg", identity(picture(2, size=(48, 32)))),
    ]


def test_a_name_that_several_files_or_rows_share_is_set_aside_and_not_guessed(lake, folder):
    files = {"A/1.jpg": picture(1), "B/1.jpg": picture(2, size=(48, 32)), "A/2.jpg": picture(3)}
    table = "image,species\n1.jpg,x\nx/2.jpg,y\ny/2.jpg,z\n"
    taken = take_in(lake, "d", a_table(folder, table, files, names_are_unique=True))
    assert taken.set_aside == {"ambiguous_name": 3, "file_without_row": 3}


def test_copies_of_one_file_in_several_folders_are_one(lake, folder):
    files = {"A/1.jpg": picture(1), "B/1.jpg": picture(1)}
    taken = take_in(lake, "d", a_table(folder, "image,species\n1.jpg,x\n", files, names_are_unique=True))
    assert (taken.count.kept, taken.set_aside) == (1, {"file_without_row": 1})


def test_who_was_beaten_to_a_name_takes_back_its_label(lake, folder, tmp_path):
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,x\n", {"a.jpg": picture(1)}))
    other = a_table(tmp_path / "other", "image,species\na.jpg,y\n", {"a.jpg": picture(2)})
    # as if it had written its label before the record of the first one was there
    uri, now = other.uri, tables.later([])
    row = ("d", "a.jpg", "y", uri, "given", now)
    tables.append(lake, "labels", filled("labels", "dataset observation_id species_id source status labelled_at", row))
    assert rows(labels.current(lake, "d")) == [("a.jpg", "y")]
    take_in(lake, "d", other)
    assert rows(labels.current(lake, "d")) == [("a.jpg", "x")]
    assert take_in(lake, "d", other).committed == []


def test_a_note_ends_when_it_holds_no_longer(lake, folder):
    files = {"a.jpg": picture(1), "b.jpg": picture(1)}
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,x\nb.jpg,y\n", files))
    corrected = a_table(folder, "image,species\na.jpg,x\nb.jpg,x\n")
    take_in(lake, "d", corrected)
    counts = {row[:2]: row[2] for row in held(lake, "ingest_issues", "image_name kind row_count")}
    ended = [row for row in held(lake, "ingest_issues", "image_name kind row_count") if row[2] == 0]
    assert ended == [(name, "content_of_two_species", 0) for name in ("a.jpg", "b.jpg")]
    assert counts["b.jpg", "duplicate_content"] == 1
    assert take_in(lake, "d", corrected).committed == []


@pytest.mark.parametrize("cell", ["/etc/passwd", "{outside}", "{inside}"])
def test_a_path_in_a_column_of_addresses_is_no_file_to_be_shown(lake, folder, cell):
    outside = lay(folder.parent, {"secret.jpg": picture(7)}) / "secret.jpg"
    path = cell.format(outside=outside, inside=folder / "a.jpg")
    table = f"image,url,species\na.jpg,,s\n,{path},s\nlost.jpg,{path},s\nlost.jpg,{path},s\nb.jpg,,s\n"
    source = a_table(folder, table, {"a.jpg": picture(1), "b.jpg": b"", "c.jpg": picture(2)}, url_column="url")
    with closing(Web()) as web:
        assert take_in(lake, "d", source, web=web).count.kept == 1
    with opened(lake, source) as work:
        work.find_pending()
        work.reconcile()
        shown = {sample.kind: sample.file and sample.file.location for sample in work.set_aside_samples()}
    assert shown == {
        "row_without_name": None,
        "address_refused": None,
        "duplicate_name": None,
        "empty": str(folder / "b.jpg"),
        "file_without_row": str(folder / "c.jpg"),
    }


def test_whatever_reading_one_file_raises_the_others_come_in(lake, folder):
    class Odd(FolderFiles):
        def read(self, file):
            if file.location.endswith("a.jpg"):
                raise ValueError("embedded null byte\x1b[2J")
            return super().read(file)

    lay(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": picture(2)})
    taken = take_in(lake, "d", FolderSource(Odd(folder)))
    assert (taken.count.kept, taken.set_aside) == (1, {"unreadable": 1})
    assert held(lake, "ingest_issues", "detail") == [("ValueError: embedded null byte\\x1b[2J",)]


def test_the_share_that_the_message_names_is_accepted(lake, folder):
    with pytest.raises(LossError) as stopped:
        take_in(lake, "d", lossy(folder, 71, 29), most_loss=0.01)
    share = float(str(stopped.value).rpartition(" ")[2])
    assert take_in(lake, "d", lossy(folder, 71, 29), most_loss=share).count.set_aside == 29


def test_a_shard_of_unknown_weight_is_committed_when_it_grows_too_heavy(lake, folder):
    lay(folder, numbers(6))
    weight = len(picture(0))
    with opened(lake, FolderSource(FolderFiles(folder))) as work, ThreadPoolExecutor(2) as pool:
        work.find_pending()
        reader = Reader(lake, FolderFiles(folder).read, pool, Limits(shard_bytes=weight), work.planned_on, "run")
        shard = [file for files in work.shards(Limits()) for file in files]
        assert reader.read(shard).files == 6
    (snapshot,) = tables.latest(lake, "file_reads")
    assert snapshot.version > 1


def test_a_file_of_its_own_may_be_read_by_whoever_may_read_the_tables(lake, folder):
    take_in(lake, "d", a_folder(folder, {"s1/a.jpg": picture(1, size=(400, 300))}), inline_bytes=100)
    (uri,) = held(lake, "images", "blob_uri")[0]
    (table,) = list(Path(lake.uri("images")).glob("*.parquet"))
    assert (Path(lake.root) / uri).stat().st_mode == table.stat().st_mode
