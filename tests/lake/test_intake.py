import json
from dataclasses import replace
from pathlib import Path

import pytest
from lake_rows import held, rows
from small_pictures import bomb, cut, lay, picture
from taking_in import content, take_in

from lake import intake, labels, tables
from lake.images import identity
from lake.sources import SourceIssue
from lake.sources.folder import FolderSource
from lake.sources.table import TableSource


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photographs"


def a_table(folder, table, files=None, **columns):
    lay(folder, {"photographs.csv": table.encode(), **(files or {})})
    return TableSource(folder / "photographs.csv", "image", "species", **columns)


def versions(lake):
    return {str(snapshot) for snapshot in tables.latest(lake, *tables.TABLES)}


def test_a_photograph_is_stored_byte_for_byte_under_its_hash(lake, folder):
    photograph = picture(1, size=(24, 16), orientation=6)
    take_in(lake, "d", FolderSource(lay(folder, {"s1/a.jpg": photograph})))
    assert held(lake, "images", "image_id bytes format width_px height_px byte_count") == [
        (identity(photograph), photograph, "JPEG", 16, 24, len(photograph))
    ]


def test_a_record_says_where_its_photograph_came_from(lake, folder):
    take_in(lake, "d", FolderSource(lay(folder, {"s1/a.jpg": picture(1)})))
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
    table = "image,species\n" + "".join(f"{name}.jpg,1\n" for name in ("good", "good", "cut", "text", "bomb", "lost"))
    files = {
        "good.jpg": picture(1),
        "cut.jpg": cut(picture(2, size=(64, 64))),
        "text.jpg": b"no photograph",
        "empty.jpg": b"",
        "bomb.jpg": bomb(60_000, 60_000),
        "more.PNG": picture(3, "PNG"),
    }
    source = a_table(folder, table + "empty.jpg,1\n,1\n", files)
    count = take_in(lake, "d", source)
    assert count.set_aside_by_kind == {
        "duplicate_name": 1,
        "truncated": 1,
        "unreadable": 1,
        "too_large": 1,
        "row_without_file": 1,
        "empty": 1,
        "row_without_name": 1,
        "file_without_row": 1,
    }
    assert (count.found, count.kept, count.already_known, count.set_aside) == (len(list(source)), 1, 0, 8)
    assert count.byte_count == len(picture(1))
    assert sum(number for (number,) in held(lake, "ingest_issues", "row_count")) == 8
    again = take_in(lake, "d", source)
    assert (again.found, again.kept, again.already_known, again.set_aside) == (9, 0, 1, 8)
    assert again.byte_count == 0


def test_a_folder_of_all_sorts_is_reconciled_too(lake, folder):
    lay(folder, {"s1/a.JPG": picture(1), "s1/b.jpeg": b"", "s1/notes.txt": b"x", "s1/.DS_Store": b"x"})
    count = take_in(lake, "d", FolderSource(folder))
    assert (count.found, count.kept, dict(count.set_aside_by_kind)) == (3, 1, {"empty": 1, "not_an_image": 1})


def test_a_second_intake_commits_nothing(lake, folder):
    table = "image,species\na.jpg,1\nlost.jpg,1\n"
    source = a_table(folder, table, {"a.jpg": picture(1), "new.jpg": cut(picture(2))})
    first = take_in(lake, "d", source)
    before = versions(lake)
    second = take_in(lake, "d", source)
    assert {snapshot.table for snapshot in first.committed} == {
        "images",
        "species",
        "labels",
        "ingest_issues",
        "image_records",
    }
    assert (second.committed, second.labels) == ((), 0)
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


def test_a_shard_holds_as_many_items_and_bytes_as_fit(folder):
    lay(folder, {f"{number}.jpg": b"x" * 10 for number in range(5)})
    items = list(FolderSource(folder))
    assert [len(shard) for shard in intake.shards(items, 2)] == [2, 2, 1]
    assert [len(shard) for shard in intake.shards(items, 100, most_bytes=25)] == [2, 2, 1]
    assert [len(shard) for shard in intake.shards(items, 100, most_bytes=5)] == [1] * 5
    assert list(intake.shards([], 2)) == []
    assert list(intake.shards([SourceIssue("a", "k", "")], 2)) == [[SourceIssue("a", "k", "")]]


@pytest.mark.parametrize("items_in_shard", [1, 2])
def test_the_same_bytes_under_two_names_are_stored_once(lake, folder, items_in_shard):
    lay(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": picture(1)})
    count = take_in(lake, "d", FolderSource(folder), items_in_shard)
    assert count.kept == 2
    assert held(lake, "images", "image_id") == [(identity(picture(1)),)]
    assert held(lake, "image_records", "image_name") == [("s1/a.jpg",), ("s1/b.jpg",)]


def test_the_same_bytes_in_another_data_set_are_stored_once_and_on_record_twice(lake, folder):
    source = FolderSource(lay(folder, {"s1/a.jpg": picture(1)}))
    take_in(lake, "d", source)
    assert take_in(lake, "e", source).kept == 1
    assert len(held(lake, "images", "image_id")) == 1
    assert held(lake, "image_records", "dataset") == [("d",), ("e",)]


@pytest.mark.parametrize("newer", [picture(2), cut(picture(2))])
def test_a_known_name_with_other_bytes_is_set_aside_and_the_first_stay(lake, folder, newer):
    source = FolderSource(lay(folder, {"s1/a.jpg": picture(1)}))
    take_in(lake, "d", source)
    lay(folder, {"s1/a.jpg": newer})
    count = take_in(lake, "d", source)
    assert (count.kept, count.already_known, count.set_aside) == (0, 0, 1)
    assert held(lake, "image_records", "image_id") == [(identity(picture(1)),)]
    assert len(held(lake, "images", "image_id")) == 1


def test_other_bytes_say_which_are_known(lake, folder):
    source = FolderSource(lay(folder, {"s1/a.jpg": picture(1)}))
    take_in(lake, "d", source)
    lay(folder, {"s1/a.jpg": picture(2)})
    take_in(lake, "d", source)
    ((kind, detail),) = held(lake, "ingest_issues", "kind detail")
    assert kind == "name_with_other_content"
    assert identity(picture(1))[:12] in detail


def test_a_photograph_that_was_mended_is_taken_in(lake, folder):
    source = FolderSource(lay(folder, {"s1/a.jpg": cut(picture(1, size=(64, 64)))}))
    assert take_in(lake, "d", source).kept == 0
    lay(folder, {"s1/a.jpg": picture(1)})
    assert take_in(lake, "d", source).kept == 1


def test_a_correction_appends_and_only_the_latest_labels_hold(lake, folder):
    files = {"a.jpg": picture(1), "b.jpg": picture(2)}
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,wrong\nb.jpg,1\n", files))
    count = take_in(lake, "d", a_table(folder, "image,species\na.jpg,right\nb.jpg,1\n"))
    assert (count.labels, [snapshot.table for snapshot in count.committed]) == (1, ["species", "labels"])
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


def test_a_photograph_that_is_not_labelled_any_more_keeps_its_label(lake, folder):
    take_in(lake, "d", a_table(folder, "image,species\na.jpg,1\n", {"a.jpg": picture(1)}))
    assert take_in(lake, "d", a_table(folder, "image,species\na.jpg,\n")).committed == ()
    assert rows(labels.current(lake, "d")) == [("a.jpg", "1")]


def test_a_species_is_known_by_its_id_and_keeps_its_first_name(lake, folder):
    table = "image,species,name\na.jpg,1,Poa annua\nb.jpg,1,Poa trivialis\nc.jpg,2,Poa annua\n"
    files = {f"{name}.jpg": picture(number) for number, name in enumerate("abc")}
    take_in(lake, "d", a_table(folder, table, files, name_column="name"))
    assert held(lake, "species", "species_id scientific_name") == [("1", "Poa annua"), ("2", "Poa annua")]


def test_two_issues_of_one_kind_and_name_are_one_row_that_counts_both(lake):
    shard = [SourceIssue("a.jpg", "duplicate_name", "row 3"), SourceIssue("a.jpg", "duplicate_name", "row 4")]
    count = intake.write_shard(lake, "d", "here", shard, intake.known(lake, "d", "here"), "run")
    assert count.set_aside == 2
    assert held(lake, "ingest_issues", "image_name kind row_count") == [("a.jpg", "duplicate_name", 2)]


def test_a_file_that_vanishes_while_it_is_read_is_set_aside(lake, folder):
    items = list(FolderSource(lay(folder, {"s1/a.jpg": picture(1)})))
    (folder / "s1/a.jpg").unlink()
    (shard,) = intake.shards(items, 10)
    count = intake.write_shard(lake, "d", "here", shard, intake.known(lake, "d", "here"), "run")
    assert dict(count.set_aside_by_kind) == {"unreadable": 1}
    assert held(lake, "ingest_issues", "detail") == [("the file cannot be read: No such file or directory",)]


def test_every_item_is_told_of_once(lake, folder):
    items = list(FolderSource(lay(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": b"", "s1/c.txt": b""})))
    told = []
    intake.write_shard(lake, "d", "here", items, intake.known(lake, "d", "here"), "run", on_read=told.append)
    assert sum(told) == len(items)


@pytest.mark.parametrize("table", ["images", "species", "labels", "ingest_issues", "image_records"])
def test_a_shard_whose_commit_failed_is_written_whole_when_it_is_tried_again(lake, folder, monkeypatch, table):
    source = a_table(folder, "image,species\na.jpg,1\nlost.jpg,1\n", {"a.jpg": picture(1)})
    known = intake.known(lake, "d", "here")
    append = tables.append

    def fail(lake, name, *rest):
        if name == table:
            raise OSError("the disk is full")
        return append(lake, name, *rest)

    monkeypatch.setattr(tables, "append", fail)
    with pytest.raises(OSError, match="disk is full"):
        intake.write_shard(lake, "d", source.uri, list(source), known, "run")
    monkeypatch.undo()
    count = intake.write_shard(lake, "d", source.uri, list(source), known, "run")
    assert (count.found, count.kept, count.set_aside) == (2, 1, 1)
    assert {name: len(found) for name, found in content(lake).items()} == dict.fromkeys(content(lake), 1)


def test_counts_of_shards_add_up():
    one = intake.Count(kept=1, set_aside=2, byte_count=10, labels=1, committed=(tables.Snapshot("labels", 1),))
    two = intake.Count(already_known=3, committed=(tables.Snapshot("labels", 2), tables.Snapshot("images", 0)))
    both = one + two
    assert (both.found, both.kept, both.already_known, both.set_aside, both.byte_count, both.labels) == (
        6,
        1,
        3,
        2,
        10,
        1,
    )
    assert both.committed == (tables.Snapshot("labels", 2), tables.Snapshot("images", 0))
    assert replace(one) + intake.Count() == one


def test_the_photographs_themselves_are_left_as_they_were(lake, folder):
    source = FolderSource(lay(folder, {"s1/a.jpg": picture(1), "s1/b.jpg": cut(picture(2))}))
    before = {path: path.read_bytes() for path in Path(folder).rglob("*.jpg")}
    take_in(lake, "d", source)
    assert {path: path.read_bytes() for path in Path(folder).rglob("*.jpg")} == before


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
    count = told(row)
    assert (count.already_known, dict(count.set_aside_by_kind)) == (0, {"record_changed": 1})
    assert held(lake, "image_records", "observation_id split_tag") == [("o1", "train")]
    assert held(lake, "labels", "observation_id") == [("o1",)]
    assert detail in held(lake, "ingest_issues", "detail")[0][0]


def test_a_file_that_another_table_of_the_data_set_named_is_no_file_without_row(lake, folder):
    lay(folder, {"1.csv": b"image,species\na.jpg,1\n", "2.csv": b"image,species\nb.jpg,1\n"})
    lay(folder, {f"{name}.jpg": picture(number) for number, name in enumerate("abc")})
    one, two = (TableSource(folder / name, "image", "species") for name in ("1.csv", "2.csv"))
    take_in(lake, "d", one)
    count = take_in(lake, "d", two)
    assert (count.found, count.kept, count.already_known, count.set_aside) == (3, 1, 1, 1)


def test_two_tables_that_differ_on_one_observation_say_their_word_once_each(lake, folder):
    lay(folder, {"a.jpg": picture(1), "1.csv": b"image,species\na.jpg,s1\n", "2.csv": b"image,species\na.jpg,s2\n"})
    one, two = (TableSource(folder / name, "image", "species") for name in ("1.csv", "2.csv"))
    assert [take_in(lake, "d", source).labels for source in (one, two, one, two)] == [1, 1, 0, 0]
    assert rows(labels.current(lake, "d")) == [("a.jpg", "s2")]
