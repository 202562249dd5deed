import os
import shutil
import zipfile
from pathlib import Path

import polars as pl
import pytest
from small_pictures import lay

from lake.errors import SourceError
from lake.files import LISTING
from lake.files.archive import archive_files
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES, Batch
from lake.sources.folder import FolderSource


def said(folder, split=None):
    """Return the rows, species and files of a folder or an archive."""
    place = archive_files(folder) if folder.is_file() else FolderFiles(folder)
    batches = [Batch(), *FolderSource(place, split)]
    return tuple(pl.concat([getattr(batch, part) for batch in batches]) for part in ("rows", "species", "files"))


def rows(folder, columns="file_name kind", split=None):
    return said(folder, split)[0].select(columns.split()).rows()


def species(folder):
    found, named, _ = said(folder)
    return found.join(named, on="row_number").select("file_name", "species_id", "scientific_name").rows()


def test_a_folder_is_a_species(tmp_path):
    lay(tmp_path, {"Poa_annua/a.jpg": b"", "Poa_annua/2024/b.jpg": b"", "Urtica/a.jpg": b""})
    assert species(tmp_path) == [
        ("Poa_annua/2024/b.jpg", "Poa_annua", "Poa annua"),
        ("Poa_annua/a.jpg", "Poa_annua", "Poa annua"),
        ("Urtica/a.jpg", "Urtica", "Urtica"),
    ]


def test_each_photograph_is_an_observation_of_its_own(tmp_path):
    lay(tmp_path, {"s1/a.jpg": b"", "s1/b.jpg": b""})
    assert rows(tmp_path, "image_name observation_id") == [("s1/a.jpg", None), ("s1/b.jpg", None)]


def test_a_photograph_in_the_folder_itself_has_no_label(tmp_path):
    lay(tmp_path, {"a.jpg": b""})
    assert (rows(tmp_path), species(tmp_path)) == ([("a.jpg", None)], [])


@pytest.mark.parametrize("name", ["a.JPG", "a.JPEG", "a.PNG", "a.TIFF", "a.Tif", "a.webp", "a.b.jpg", " .jpg"])
def test_an_extension_of_an_image_counts_in_any_case(tmp_path, name):
    assert rows(lay(tmp_path, {f"s1/{name}": b""})) == [(f"s1/{name}", None)]


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.jpg.part", "README"])
def test_what_is_no_image_is_set_aside(tmp_path, name):
    found = rows(lay(tmp_path, {f"s1/{name}": b""}), "file_name kind detail")
    assert found == [(f"s1/{name}", "not_an_image", "its extension is none of an image format")]


def test_hidden_files_and_folders_are_not_seen(tmp_path):
    lay(tmp_path, {"s1/.DS_Store": b"", "s1/._a.jpg": b"", ".git/a.jpg": b"", "s1/a.jpg": b""})
    assert rows(tmp_path) == [("s1/a.jpg", None)]


def test_what_the_place_refuses_is_set_aside_for_its_reason_image_or_not(tmp_path):
    lay(tmp_path / "in", {"s1/a.jpg": b""})
    lay(tmp_path / "out", {"b.jpg": b"", "notes.txt": b""})
    for name in ("b.jpg", "notes.txt"):
        (tmp_path / "in" / "s1" / name).symlink_to(tmp_path / "out" / name)
    assert rows(tmp_path / "in") == [
        ("s1/a.jpg", None),
        ("s1/b.jpg", "link_outside_root"),
        ("s1/notes.txt", "link_outside_root"),
    ]


def test_a_name_whose_bytes_are_no_text_is_set_aside(tmp_path):
    lay(tmp_path, {"s1/a.jpg": b""})
    (tmp_path / "s1" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    assert rows(tmp_path) == [("s1/a.jpg", None), ("s1/caf\\udce9.jpg", "name_not_text")]


def test_names_of_all_scripts_are_text(tmp_path):
    lay(tmp_path, {"Hêtre/日本 1.jpg": b""})
    assert species(tmp_path) == [("Hêtre/日本 1.jpg", "Hêtre", "Hêtre")]


def test_every_file_is_handed_on_with_its_row(tmp_path):
    found, _, files = said(lay(tmp_path, {"s1/a.jpg": b"12", "s1/a.txt": b""}))
    assert found["file_name"].to_list() == files["file_name"].to_list() == ["s1/a.jpg", "s1/a.txt"]
    assert files["byte_count"].to_list() == [2, 0]


def test_its_frames_are_as_agreed(tmp_path):
    found = said(lay(tmp_path, {"s1/a.jpg": b""}), "test")
    assert [frame.schema for frame in found] == [ROWS, SPECIES, LISTING]


def test_rows_are_numbered_through_all_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("lake.files._ROWS_IN_FRAME", 1)
    batches = list(FolderSource(FolderFiles(lay(tmp_path, {"s1/a.jpg": b"", "s2/b.jpg": b""}))))
    assert [batch.rows["row_number"].to_list() for batch in batches] == [[1], [2]]
    assert [batch.species["row_number"].to_list() for batch in batches] == [[1], [2]]


def test_a_second_look_gives_the_same_in_the_same_order(tmp_path):
    lay(tmp_path, {f"s{number % 3}/{number}.jpg": b"" for number in range(9)})
    first, second = said(tmp_path), said(tmp_path)
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))


def test_the_split_tag_is_that_of_all_photographs(tmp_path):
    lay(tmp_path, {"s1/a.jpg": b"", "b.jpg": b""})
    assert rows(tmp_path, "split_tag", "Validation") == [("val",), ("val",)]
    assert rows(tmp_path, "split_tag") == [(None,), (None,)]


def test_an_unknown_split_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(SourceError, match=r"'tests' for a split; understood are dev, .*testing"):
        said(tmp_path, "tests")


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*none"):
        said(tmp_path / "none")


def test_photographs_of_one_name_in_two_splits_are_two_of_one_file_name_each(tmp_path):
    lay(tmp_path, {"train/s1/a.jpg": b"", "test/s1/a.jpg": b""})
    found = [rows(tmp_path / side, "image_name file_name", side)[0] for side in ("train", "test")]
    assert found == [("train/s1/a.jpg", "s1/a.jpg"), ("test/s1/a.jpg", "s1/a.jpg")]


@pytest.mark.parametrize("beside", ["val/s1/b.jpg", ".git/config", "notes.txt"])
def test_a_folder_of_splits_is_not_taken_for_one_of_species(tmp_path, beside):
    lay(tmp_path, {"Train/s1/a.jpg": b"", beside: b""})
    with pytest.raises(SourceError, match=r"are splits \(Train.*\), not species"):
        said(tmp_path)


def test_a_species_may_be_called_like_a_split_among_others(tmp_path):
    assert len(rows(lay(tmp_path, {"test/a.jpg": b"", "s1/a.jpg": b""}))) == 2


def test_the_folders_of_an_archive_are_species_as_well(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("Poa_annua/a.jpg", b"12")
        archive.writestr("b.txt", b"")
    assert rows(tmp_path / "p.zip") == [("Poa_annua/a.jpg", None), ("b.txt", "not_an_image")]
    assert species(tmp_path / "p.zip") == [("Poa_annua/a.jpg", "Poa_annua", "Poa annua")]
    assert FolderSource(archive_files(tmp_path / "p.zip")).uri == str(tmp_path / "p.zip")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_the_folder_that_an_archive_was_made_of_is_no_species(tmp_path, form):
    lay(tmp_path / "photographs", {"Poa/a.jpg": b"", "Bellis/2024/b.jpg": b""})
    archive = shutil.make_archive(str(tmp_path / "p"), form, tmp_path, "photographs")
    batches = list(FolderSource(archive_files(Path(archive))))
    species = pl.concat([batch.species for batch in batches])["species_id"]
    names = pl.concat([batch.rows for batch in batches])["image_name"]
    assert (sorted(species), sorted(names)) == (["Bellis", "Poa"], ["Bellis/2024/b.jpg", "Poa/a.jpg"])


@pytest.mark.parametrize("names", [["Poa/a.jpg", "Poa/b.jpg"], ["Poa/2024/a.jpg", "Poa/b.jpg"], ["Poa/2024/a.jpg"]])
def test_an_archive_of_one_species_keeps_it(tmp_path, names):
    lay(tmp_path / "photographs", dict.fromkeys(names, b""))
    archive = shutil.make_archive(str(tmp_path / "p"), "zip", tmp_path / "photographs")
    batches = list(FolderSource(archive_files(Path(archive))))
    assert set(pl.concat([batch.species for batch in batches])["species_id"]) == {"Poa"}
