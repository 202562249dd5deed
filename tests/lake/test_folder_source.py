import os

import pytest
from small_pictures import lay, picture

from lake.errors import SourceError
from lake.sources import SourceIssue, SourceSpecies
from lake.sources.folder import FolderSource


def found(folder, **options):
    items = list(FolderSource(folder, **options))
    records = {item.image_name: item for item in items if not isinstance(item, SourceIssue)}
    issues = {item.image_name: item.kind for item in items if isinstance(item, SourceIssue)}
    assert len(records) + len(issues) == len(items)
    return records, issues


def test_a_folder_is_a_species_and_each_photograph_an_observation(tmp_path):
    lay(tmp_path, {"Poa_annua/a.jpg": b"", "Poa_annua/2024/b.jpg": b""})
    records, _ = found(tmp_path)
    assert {record.species for record in records.values()} == {(SourceSpecies("Poa_annua", "Poa annua"),)}
    assert [record.observation_id for record in records.values()] == ["Poa_annua/2024/b.jpg", "Poa_annua/a.jpg"]


def test_a_photograph_in_the_folder_itself_has_no_label(tmp_path):
    records, _ = found(lay(tmp_path, {"a.jpg": b""}))
    assert records["a.jpg"].species == ()


@pytest.mark.parametrize("name", ["a.JPG", "a.JPEG", "a.PNG", "a.TIFF", "a.Tif", "a.webp", "a.b.jpg", " .jpg"])
def test_an_extension_of_an_image_counts_in_any_case(tmp_path, name):
    records, issues = found(lay(tmp_path, {f"s1/{name}": b""}))
    assert (list(records), issues) == ([f"s1/{name}"], {})


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.jpg.part", "README"])
def test_what_is_no_image_is_an_issue(tmp_path, name):
    records, issues = found(lay(tmp_path, {f"s1/{name}": b""}))
    assert (records, issues) == ({}, {f"s1/{name}": "not_an_image"})


def test_hidden_files_and_folders_are_not_seen(tmp_path):
    lay(tmp_path, {"s1/.DS_Store": b"", "s1/._a.jpg": b"", ".git/a.jpg": b"", "s1/a.jpg": b""})
    records, issues = found(tmp_path)
    assert (list(records), issues) == (["s1/a.jpg"], {})


def test_a_name_whose_bytes_are_no_text_is_an_issue(tmp_path):
    lay(tmp_path, {"s1/a.jpg": b""})
    (tmp_path / "s1" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(picture(1))
    records, issues = found(tmp_path)
    assert (list(records), issues) == (["s1/a.jpg"], {"s1/caf\\udce9.jpg": "name_not_text"})


def test_names_of_all_scripts_are_text(tmp_path):
    records, _ = found(lay(tmp_path, {"Hêtre/日本 1.jpg": b""}))
    assert list(records) == ["Hêtre/日本 1.jpg"]


def test_a_second_look_gives_the_same_in_the_same_order(tmp_path):
    source = FolderSource(lay(tmp_path, {f"s{number % 3}/{number}.jpg": b"" for number in range(9)}))
    assert list(source) == list(source)


def test_the_split_tag_is_that_of_all_photographs(tmp_path):
    records, _ = found(lay(tmp_path, {"s1/a.jpg": b"", "b.jpg": b""}), split="Validation")
    assert {record.split_tag for record in records.values()} == {"val"}


def test_an_unknown_split_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(SourceError, match=r"'tests' for a split; understood are dev, .*testing"):
        found(tmp_path, split="tests")


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*none"):
        found(tmp_path / "none")


def test_photographs_of_one_name_in_two_splits_are_two(tmp_path):
    lay(tmp_path, {"train/s1/a.jpg": b"", "test/s1/a.jpg": b""})
    names = {name for side in ("train", "test") for name in found(tmp_path / side, split=side)[0]}
    assert names == {"train/s1/a.jpg", "test/s1/a.jpg"}


@pytest.mark.parametrize("beside", ["val/s1/b.jpg", ".git/config", "notes.txt"])
def test_a_folder_of_splits_is_not_taken_for_one_of_species(tmp_path, beside):
    lay(tmp_path, {"Train/s1/a.jpg": b"", beside: b""})
    with pytest.raises(SourceError, match=r"are splits \(train.*\), not species"):
        found(tmp_path)


def test_a_species_may_be_called_like_a_split_among_others(tmp_path):
    assert len(found(lay(tmp_path, {"test/a.jpg": b"", "s1/a.jpg": b""}))[0]) == 2
