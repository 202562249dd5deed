import os
import shutil
import socket
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake import files as places
from lake.errors import SourceError
from lake.files import LISTING, MOST_BYTES, File, RefusedFileError
from lake.files.folder import FolderFiles


def lay(folder, contents):
    for name, content in contents.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def listed(place, folders=None):
    return pl.concat([LISTING.to_frame(), *place.listing(folders)])


def names(place, folders=None):
    return listed(place, folders)["file_name"].to_list()


def kinds(place):
    rows = listed(place).filter(pl.col("kind").is_not_null())
    return dict(zip(rows["file_name"], rows["kind"], strict=True))


def file_of(place, name):
    row = listed(place).row(by_predicate=pl.col("file_name") == name, named=True)
    return File(row["location"], row["byte_count"], row["modified_ns"], row["position"])


def refusal(place, file):
    with pytest.raises(RefusedFileError) as caught:
        place.read(file)
    return caught.value.kind


def test_a_row_says_what_a_file_is(tmp_path):
    path = lay(tmp_path, {"s1/a.jpg": b"abc"}) / "s1" / "a.jpg"
    assert listed(FolderFiles(tmp_path)).rows() == [
        ("s1/a.jpg", str(path), 3, path.stat().st_mtime_ns, None, True, None, None)
    ]


def test_files_are_ordered_by_the_parts_of_their_paths(tmp_path):
    lay(tmp_path, dict.fromkeys(["b.jpg", "a/z.jpg", "a.jpg", "a-1/c.jpg", "a/b/c.jpg", "B.jpg"], b""))
    assert names(FolderFiles(tmp_path)) == ["B.jpg", "a/b/c.jpg", "a/z.jpg", "a-1/c.jpg", "a.jpg", "b.jpg"]


def test_the_order_does_not_depend_on_how_an_accent_is_written(tmp_path):
    written = ["e.jpg", "é.jpg", "f.jpg", "è.jpg"]
    orders = []
    for form in ("NFC", "NFD"):
        lay(tmp_path / form, {unicodedata.normalize(form, name): b"" for name in written})
        orders.append(names(FolderFiles(tmp_path / form)))
    assert orders[0] == orders[1] == sorted(written)


def test_a_name_is_composed_and_its_file_still_found(tmp_path):
    place = FolderFiles(lay(tmp_path, {unicodedata.normalize("NFD", "Hêtre/é.jpg"): b"abc"}))
    assert place.read(file_of(place, "Hêtre/é.jpg")) == b"abc"


def test_hidden_files_and_folders_are_left_out(tmp_path):
    lay(tmp_path, dict.fromkeys(["s1/.DS_Store", "s1/._a.jpg", ".git/a.jpg", "s1/a.jpg"], b""))
    assert names(FolderFiles(tmp_path)) == ["s1/a.jpg"]


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (None, ["a/1.jpg", "b/2.jpg", "c.jpg"]),
        ({"a"}, ["a/1.jpg"]),
        ({""}, ["c.jpg"]),
        ({"b", ""}, ["b/2.jpg", "c.jpg"]),
    ],
)
def test_only_the_outermost_folders_asked_for_are_looked_into(tmp_path, folders, found):
    place = FolderFiles(lay(tmp_path, dict.fromkeys(["a/1.jpg", "b/2.jpg", "c.jpg"], b"")))
    assert names(place, folders) == found


def test_a_folder_with_an_accent_is_asked_for_by_its_composed_name(tmp_path):
    place = FolderFiles(lay(tmp_path, {unicodedata.normalize("NFD", "Hêtre/a.jpg"): b""}))
    assert names(place, {"Hêtre"}) == ["Hêtre/a.jpg"]


def test_a_name_whose_bytes_are_no_text_is_listed_with_its_reason(tmp_path):
    lay(tmp_path, {os.fsdecode(b"caf\xe9.jpg"): b"", os.fsdecode(b"b\xfc/a.jpg"): b""})
    place = FolderFiles(tmp_path)
    assert kinds(place) == {"b\\udcfc/a.jpg": "name_not_text", "caf\\udce9.jpg": "name_not_text"}
    assert listed(place)["location"].str.starts_with(str(tmp_path)).all()


def test_a_folder_whose_own_path_is_no_text_is_refused(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(SourceError, match="no UTF-8: rename"):
        FolderFiles(folder).listing()


def test_a_link_to_a_place_inside_is_followed(tmp_path):
    lay(tmp_path, {".store/a": b"abc", "s1/b.jpg": b"de"})
    (tmp_path / "s1" / "a.jpg").symlink_to("../.store/a")
    (tmp_path / "s2").symlink_to("s1")
    place = FolderFiles(tmp_path)
    assert names(place) == ["s1/a.jpg", "s1/b.jpg", "s2/a.jpg", "s2/b.jpg"]
    assert place.read(file_of(place, "s2/a.jpg")) == b"abc"


def test_a_link_that_leads_outside_is_followed_only_if_asked(tmp_path):
    lay(tmp_path, {"out/a.jpg": b"abc", "in/b.jpg": b"de", "inner/c.jpg": b""})
    (tmp_path / "in" / "a.jpg").symlink_to(tmp_path / "out" / "a.jpg")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "near").symlink_to(tmp_path / "inner")  # its path begins as the folder's own does
    place = FolderFiles(tmp_path / "in")
    assert kinds(place) == dict.fromkeys(["a.jpg", "more", "near"], "link_outside_root")
    assert "follow_links" in listed(place)["detail"][0]
    assert names(replace(place, follow_links=True)) == ["a.jpg", "b.jpg", "more/a.jpg", "near/c.jpg"]


def test_a_link_outside_counts_as_what_it_leads_to(tmp_path):
    lay(tmp_path, {"out/a.jpg": b"", "in/b.jpg": b""})
    (tmp_path / "in" / "more").symlink_to(tmp_path / "out")
    place = FolderFiles(tmp_path / "in")
    assert (names(place, {"more"}), names(place, {""})) == (["more"], ["b.jpg"])


def test_a_link_that_leads_back_is_not_entered_again(tmp_path):
    lay(tmp_path, {"in/s1/a.jpg": b""})
    (tmp_path / "in" / "s1" / "self").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "s1" / "up").symlink_to(tmp_path)
    assert names(FolderFiles(tmp_path / "in", follow_links=True)) == ["s1/a.jpg"]


def test_folders_that_all_link_to_one_another_are_listed_in_little_time(tmp_path):
    for number in range(6):
        lay(tmp_path, {f"s{number}/a.jpg": b""})
        for other in range(6):
            (tmp_path / f"s{number}" / f"to{other}").symlink_to(tmp_path / f"s{other}")
    found = names(FolderFiles(tmp_path))
    assert set(found) >= {f"s{number}/a.jpg" for number in range(6)}
    assert len(found) <= 6 * 6 * 6


@pytest.mark.parametrize("target", ["none.jpg", "a.jpg", "/none/none.jpg"])
def test_a_broken_link_is_unreadable(tmp_path, target):
    (tmp_path / "a.jpg").symlink_to(target)
    assert kinds(FolderFiles(tmp_path)) == {"a.jpg": "unreadable"}


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s")
        Path(short, "s").rename(tmp_path / "b.jpg")
        (tmp_path / "c.jpg").symlink_to("/dev/zero")
        found = kinds(FolderFiles(tmp_path, follow_links=True))
    assert found == dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], "not_a_file")


def test_a_folder_that_vanishes_while_it_is_listed_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_ROWS_IN_FRAME", 1)
    lay(tmp_path, dict.fromkeys(["a/1.jpg", "b/2.jpg", "c.jpg"], b""))
    frames = FolderFiles(tmp_path).listing()
    next(frames)
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "c.jpg").unlink()
    rest = pl.concat(frames).select("file_name", "is_image", "kind").rows()
    assert rest == [("b", False, "folder_unreadable"), ("c.jpg", True, "unreadable")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_a_row(tmp_path):
    lay(tmp_path, {"a/1.jpg": b"", "b/2.jpg": b""})
    (tmp_path / "a").chmod(0)
    assert names(FolderFiles(tmp_path)) == ["a", "b/2.jpg"]
    (tmp_path / "a").chmod(0o700)


@pytest.mark.parametrize("name", ["none", "file"])
def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=f"there is no folder .*{name}"):
        FolderFiles(tmp_path / name).listing()


def test_a_file_that_has_changed_since_the_listing_is_refused(tmp_path):
    path = lay(tmp_path, {"a.jpg": b"abc"}) / "a.jpg"
    place = FolderFiles(tmp_path)
    file = file_of(place, "a.jpg")
    assert refusal(place, replace(file, modified_ns=file.modified_ns + 1)) == "changed_while_reading"
    path.write_bytes(b"abcd")
    os.utime(path, ns=(0, file.modified_ns))
    assert refusal(place, file) == "changed_while_reading"
    path.unlink()
    assert refusal(place, file) == "cannot_be_opened"
    os.mkfifo(path)
    assert refusal(place, file) == "changed_while_reading"


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as hollow:
        hollow.truncate(MOST_BYTES + 1)
    place = FolderFiles(tmp_path)
    assert refusal(place, file_of(place, "a.jpg")) == "too_large"


def test_a_file_of_no_bytes_is_read(tmp_path):
    place = FolderFiles(lay(tmp_path, {"a.jpg": b""}))
    assert place.read(file_of(place, "a.jpg")) == b""


@pytest.mark.parametrize("seconds", [-3000, 12_000_000_000])
def test_a_time_far_off_does_not_end_the_listing(tmp_path, seconds):
    path = lay(tmp_path, {"a.jpg": b"abc"}) / "a.jpg"
    os.utime(path, (0, seconds))
    place = FolderFiles(tmp_path)
    assert place.read(file_of(place, "a.jpg")) == b"abc"


def test_a_path_longer_than_the_system_takes_at_once_is_listed_and_read(tmp_path):
    held = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 255, dir_fd=held)
        inner = os.open("x" * 255, os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    for name in ("🌿 1.jpg", "y" * 251 + ".jpg"):
        with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=held), "wb") as file:
            file.write(name.encode())
    os.close(held)
    place = FolderFiles(tmp_path)
    found = names(place)
    assert [name.rpartition("/")[2] for name in found] == ["y" * 251 + ".jpg", "🌿 1.jpg"]
    assert [place.read(file_of(place, name)) for name in found] == [("y" * 251 + ".jpg").encode(), "🌿 1.jpg".encode()]


def test_a_path_of_more_parts_than_python_has_frames_is_listed(tmp_path):
    held = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("x", dir_fd=held)
        inner = os.open("x", os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(os.open("a.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=held))
    os.close(held)
    assert names(FolderFiles(tmp_path)) == ["x/" * 1500 + "a.jpg"]
    # Part by part: the standard library's way of removing a folder is a recursion.
    for depth in range(1500, 0, -1):
        folder = tmp_path / "/".join(["x"] * depth)
        (folder / "a.jpg").unlink(missing_ok=True)
        folder.rmdir()


_part = (
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
    .filter(lambda part: not part.startswith("."))
    .map(lambda part: unicodedata.normalize("NFC", part))
)


@given(st.dictionaries(st.tuples(_part, _part), st.binary(max_size=50), max_size=8))
@settings(max_examples=50, deadline=None)
def test_every_file_is_listed_once_in_order_and_read_as_it_is(contents):
    with tempfile.TemporaryDirectory() as folder:
        place = FolderFiles(lay(Path(folder), {"/".join(parts): content for parts, content in contents.items()}))
        assert names(place) == ["/".join(parts) for parts in sorted(contents)]
        for parts, content in contents.items():
            assert place.read(file_of(place, "/".join(parts))) == content
