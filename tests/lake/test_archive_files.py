import gc
import io
import os
import shutil
import struct
import tarfile
import tempfile
import tracemalloc
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lake import files as places
from lake.errors import SourceError
from lake.files import LISTING, MOST_BYTES, File, RefusedFileError
from lake.files.archive import TarFiles, ZipFiles, archive_files

BOTH = pytest.mark.parametrize("kind", ["tar", "zip"])


def packed(path, members, kind=None):
    """Write an archive of (name, content) pairs."""
    if (kind or path.suffix[1:]) == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in members:
                add(archive, name, content)
    return path


def add(archive, name, content=b"", **facts):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for fact, value in facts.items():
        setattr(member, fact, value)
    archive.addfile(member, io.BytesIO(content))


def listed(place, folders=None):
    return pl.concat([LISTING.to_frame(), *place.listing(folders)])


def names(place, folders=None):
    return listed(place, folders)["file_name"].to_list()


def kinds(place):
    return listed(place).select("file_name", "kind").rows()


def file_of(row):
    return File(row["location"], row["byte_count"], row["modified_ns"], row["position"])


def contents(place):
    rows = listed(place).filter(pl.col("kind").is_null()).rows(named=True)
    return [(row["file_name"], place.read(file_of(row))) for row in rows]


def refusal(place, file):
    with pytest.raises(RefusedFileError) as caught:
        place.read(file)
    return caught.value.kind


def only_file(place):
    return file_of(listed(place).row(0, named=True))


@BOTH
def test_a_row_says_what_a_member_is(tmp_path, kind):
    path = packed(tmp_path / f"x.{kind}", [("s1/a.jpg", b"abc")])
    (row,) = listed(archive_files(path)).rows(named=True)
    position = row.pop("position")
    assert position == (512 if kind == "tar" else 0)
    assert row == {
        "file_name": "s1/a.jpg",
        "location": f"{path}!/s1/a.jpg",
        "byte_count": 3,
        "modified_ns": path.stat().st_mtime_ns,
        "is_image": True,
        "kind": None,
        "detail": None,
    }


@BOTH
def test_members_are_listed_in_their_order_and_read_as_they_are(tmp_path, kind):
    members = [("s2/b.jpg", b"b" * 5000), ("s1/a.jpg", b""), ("notes.txt", b"n"), ("é 🌿.png", b"e")]
    assert contents(archive_files(packed(tmp_path / f"x.{kind}", members))) == members


@BOTH
def test_names_are_plain_and_composed(tmp_path, kind):
    members = [("./s1//a.jpg", b"a"), (unicodedata.normalize("NFD", "é.jpg"), b"e")]
    place = archive_files(packed(tmp_path / f"x.{kind}", members))
    assert contents(place) == [("s1/a.jpg", b"a"), ("é.jpg", b"e")]


@BOTH
def test_hidden_members_and_folders_are_left_out(tmp_path, kind):
    left_out = ["__MACOSX/._a.jpg", "__MACOSX/a.jpg", ".DS_Store", "s1/.git/a.jpg", "./.a.jpg"]
    path = packed(tmp_path / f"x.{kind}", [(name, b"") for name in [*left_out, "s1/a.jpg"]])
    assert names(archive_files(path)) == ["s1/a.jpg"]


@BOTH
@pytest.mark.parametrize(("folders", "found"), [({"a"}, ["a/1.jpg"]), ({""}, ["c.jpg"]), (set(), [])])
def test_only_the_outermost_folders_asked_for_are_looked_into(tmp_path, kind, folders, found):
    path = packed(tmp_path / f"x.{kind}", [(name, b"") for name in ["a/1.jpg", "b/2.jpg", "c.jpg"]])
    assert names(archive_files(path), folders) == found


@BOTH
@pytest.mark.parametrize("name", ["../a.jpg", "s1/../../a.jpg", "/a.jpg", "C:a.jpg", "c:/a.jpg", "..\\a.jpg", "s1/.."])
def test_a_member_that_leads_out_is_named_and_never_read(tmp_path, kind, name):
    place = archive_files(packed(tmp_path / f"x.{kind}", [(name, b"abc")]))
    shown = name.replace("\\", "/") if kind == "zip" else name
    assert kinds(place) == [(shown, "outside_root")]


def test_folders_parted_by_backslashes_in_a_zip_are_folders(tmp_path):
    assert names(archive_files(packed(tmp_path / "x.zip", [("s1\\a.jpg", b"abc")]))) == ["s1/a.jpg"]


def test_a_tar_member_that_is_no_regular_file_is_named_with_its_reason(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "s1", type=tarfile.DIRTYPE)
        add(archive, "s1/a.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "s1/b.jpg", type=tarfile.LNKTYPE, linkname="s1/a.jpg")
        add(archive, "s1/c.jpg", type=tarfile.CHRTYPE)
        add(archive, "s1/d.jpg", type=tarfile.FIFOTYPE)
        add(archive, "s1/e.jpg", type=b"Z")
    assert kinds(TarFiles(tmp_path / "x.tar")) == [(f"s1/{sign}.jpg", "not_a_file") for sign in "abcde"]


def test_a_sparse_tar_member_is_no_file_and_does_not_hide_the_next(tmp_path):
    facts = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "99999999", "GNU.sparse.map": "0,3"}
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "a.jpg", b"abc", pax_headers=facts)
        add(archive, "b.jpg", b"de")
    assert kinds(TarFiles(tmp_path / "x.tar")) == [("a.jpg", "not_a_file"), ("b.jpg", None)]


def test_a_zip_member_that_is_no_regular_file_is_named_with_its_reason(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.mkdir("s1")
        link = zipfile.ZipInfo("s1/a.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert kinds(ZipFiles(tmp_path / "x.zip")) == [("s1/a.jpg", "not_a_file")]


def test_of_a_name_twice_in_a_zip_the_last_counts(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = packed(tmp_path / "x.zip", [("a.jpg", b"old"), ("b.jpg", b""), ("a.jpg", b"new")])
    place = ZipFiles(path)
    assert kinds(place) == [("a.jpg", "duplicate_name"), ("b.jpg", None), ("a.jpg", None)]
    assert contents(place)[1] == ("a.jpg", b"new")


def test_a_name_twice_in_a_tar_is_listed_twice(tmp_path):
    members = [("a.jpg", b"old"), ("a.jpg", b"new")]
    assert contents(TarFiles(packed(tmp_path / "x.tar", members))) == members


def test_a_tar_name_whose_bytes_are_no_text_is_listed_with_its_reason(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, os.fsdecode(b"caf\xe9.jpg"), b"abc")
    assert kinds(TarFiles(tmp_path / "x.tar")) == [("caf\\udce9.jpg", "name_not_text")]


@pytest.mark.parametrize(
    ("written", "found"),
    [("é.jpg".encode(), [("é.jpg", None)]), (b"caf\x82.jpg", [("caf\\udc82.jpg", "name_not_text")])],
)
def test_a_zip_name_without_a_flag_is_text_if_its_bytes_are(tmp_path, written, found):
    ascii_name = "x" * (len(written) - 4) + ".jpg"
    path = packed(tmp_path / "x.zip", [(ascii_name, b"abc")])
    path.write_bytes(path.read_bytes().replace(ascii_name.encode(), written))
    place = ZipFiles(path)
    assert kinds(place) == found
    assert place.read(only_file(place)) == b"abc"


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_refused_with_the_way_to_unpack_it(tmp_path, ending):
    path = tmp_path / "photographs.tar"  # not its name tells it, but its bytes
    with tarfile.open(path, f"w:{ending}") as archive:
        add(archive, "a.jpg", b"abc")
    with pytest.raises(SourceError, match=r"only be read from its start.*`(gunzip|bunzip2|unxz) /.*photographs.tar`"):
        archive_files(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "it is empty"), (b"%PDF-1.4", "begins with b'%PDF-1.4'"), (b"PK\x03\x04 and no more", "no whole zip")],
)
def test_what_is_no_archive_is_an_error_that_says_what_it_is(tmp_path, content, found):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(SourceError, match=found):
        archive_files(tmp_path / "x.tar")


@pytest.mark.parametrize("name", ["none.tar", "folder"])
def test_an_archive_that_is_not_there_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=f"there is no archive .*{name}"):
        archive_files(tmp_path / name)


def test_an_archive_that_cannot_be_opened_is_an_error_that_says_why(tmp_path):
    (tmp_path / "p.zip").symlink_to("a" * 300)
    with pytest.raises(SourceError, match=r"the archive .*p\.zip cannot be read: File name too long"):
        archive_files(tmp_path / "p.zip")


def test_a_zip_behind_a_program_is_read(tmp_path):
    path = packed(tmp_path / "x.zip", [("a.jpg", b"abc")])
    path.write_bytes(b"#!program\n" + path.read_bytes())
    assert contents(archive_files(path)) == [("a.jpg", b"abc")]


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path):
    inner = packed(tmp_path / "i.zip", [("b.jpg", b"abc")])
    assert names(archive_files(packed(tmp_path / "x.tar", [("i.zip", inner.read_bytes())]))) == ["i.zip"]


@BOTH
def test_an_archive_without_members_lists_nothing(tmp_path, kind):
    assert names(archive_files(packed(tmp_path / f"x.{kind}", []))) == []


def test_a_tar_cut_off_inside_of_a_member_lists_what_is_whole(tmp_path):
    path = packed(tmp_path / "x.tar", [("a.jpg", b"abc"), ("b.jpg", b"b" * 2000), ("c.jpg", b"c")])
    os.truncate(path, 512 + 512 + 512 + 1000)
    place = TarFiles(path)
    assert kinds(place) == [("a.jpg", None), ("x.tar", "truncated")]
    assert "inside of 'b.jpg', 1,000 bytes early" in listed(place)["detail"][1]


@pytest.mark.parametrize("size", [1024, 1024 + 100])
def test_a_tar_cut_off_between_two_members_says_so(tmp_path, size):
    path = packed(tmp_path / "x.tar", [("a.jpg", b"abc"), ("b.jpg", b"")])
    os.truncate(path, size)
    assert kinds(TarFiles(path)) == [("a.jpg", None), ("x.tar", "truncated")]


def test_a_damaged_header_in_a_tar_does_not_pass_for_its_end(tmp_path):
    path = packed(tmp_path / "x.tar", [("a.jpg", b"abc"), ("b.jpg", b"")])
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"rubbish")
    assert kinds(TarFiles(path)) == [("a.jpg", None), ("x.tar", "truncated")]


def test_a_tar_member_that_leads_back_to_itself_ends_the_listing(tmp_path):
    path = packed(tmp_path / "x.tar", [("a.jpg", b"abc"), ("b.jpg", b"")])
    content = bytearray(path.read_bytes())
    content[1024 + 124 : 1024 + 136] = b"\xff" * 4 + struct.pack(">q", -1536)
    content[1024 + 148 : 1024 + 156] = b" " * 8
    content[1024 + 148 : 1024 + 155] = b"%06o\0" % sum(content[1024:1536])
    path.write_bytes(content)
    assert kinds(TarFiles(path)) == [("a.jpg", None), ("x.tar", "truncated")]


@BOTH
def test_an_archive_that_has_changed_since_the_listing_is_refused(tmp_path, kind):
    path = packed(tmp_path / f"x.{kind}", [("a.jpg", b"abc")])
    place = archive_files(path)
    file = only_file(place)
    assert refusal(place, replace(file, modified_ns=file.modified_ns - 1)) == "changed_while_reading"
    packed(tmp_path / "new", [("a.jpg", b"xyz")], kind)
    os.utime(tmp_path / "new", ns=(0, file.modified_ns))
    (tmp_path / "new").replace(path)
    assert refusal(place, file) == "changed_while_reading"
    path.unlink()
    assert refusal(place, file) == "cannot_be_opened"


def test_a_tar_that_changes_before_it_is_listed_is_an_error(tmp_path):
    path = packed(tmp_path / "x.tar", [("a.jpg", b"abc")])
    place = TarFiles(path)
    packed(path, [("b.jpg", b"abc" * 9000)])
    with pytest.raises(SourceError, match="has changed since it was opened"):
        names(place)


def test_a_zip_member_whose_checksum_is_wrong_is_unreadable(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"the content")
    path.write_bytes(path.read_bytes().replace(b"the content", b"The content"))
    place = ZipFiles(path)
    assert refusal(place, only_file(place)) == "unreadable"


@pytest.mark.parametrize(("field", "value"), [(8, b"\x01\0"), (10, b"\x0c\0")])
def test_a_zip_member_that_is_encrypted_or_of_another_method_is_unreadable(tmp_path, field, value):
    path = packed(tmp_path / "x.zip", [("a.jpg", b"abc")])
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + field : entry + field + 2] = value
    path.write_bytes(content)
    place = ZipFiles(path)
    assert kinds(place) == [("a.jpg", "unreadable")]
    assert refusal(place, only_file(place)) == "unreadable"


def test_a_zip_member_that_unpacks_to_more_than_it_says_is_cut_and_refused(tmp_path):
    path = packed(tmp_path / "x.zip", [("a.jpg", bytes(50_000_000))])
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<L", 100)
    path.write_bytes(content)
    place = ZipFiles(path)
    file = only_file(place)
    tracemalloc.start()
    assert refusal(place, file) == "unreadable"
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@BOTH
def test_a_member_that_is_too_large_is_not_read(tmp_path, kind):
    place = archive_files(packed(tmp_path / f"x.{kind}", [("a.jpg", b"abc")]))
    assert refusal(place, replace(only_file(place), byte_count=MOST_BYTES + 1)) == "too_large"


@BOTH
def test_many_threads_read_one_archive(tmp_path, kind):
    members = [(f"{number}.jpg", bytes([number]) * (1 + number * 997)) for number in range(100)]
    place = archive_files(packed(tmp_path / f"x.{kind}", members))
    wanted = [file_of(row) for row in listed(place).rows(named=True)] * 5
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(place.read, wanted)) == [content for _, content in members] * 5


def test_a_listing_holds_no_more_of_a_tar_than_the_member_it_is_at(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_ROWS_IN_FRAME", 1)
    place = TarFiles(packed(tmp_path / "x.tar", [(f"{number}.jpg", b"") for number in range(50)]))
    frames = place.listing()
    for _ in range(40):
        next(frames)
    assert sum(isinstance(thing, tarfile.TarInfo) for thing in gc.get_objects()) < 5


_part = st.text("aé-🌿 ", min_size=1, max_size=40)
_members = st.dictionaries(st.lists(_part, min_size=1, max_size=5).map("/".join), st.binary(max_size=2000), max_size=6)


@BOTH
@given(members=_members)
@settings(max_examples=50, deadline=None)
def test_what_was_packed_is_read(kind, members):
    with tempfile.TemporaryDirectory() as folder:
        path = packed(Path(folder, f"x.{kind}"), members.items())
        found = [(unicodedata.normalize("NFC", name), content) for name, content in members.items()]
        assert contents(archive_files(path)) == found


@BOTH
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_damaged_archive_never_gives_other_bytes_than_were_packed(kind, data):
    """A tar has no checksum of its contents: it is only cut off here. A zip is overwritten anywhere."""
    members = {"a.jpg": b"abc" * 200, "s1/b.jpg": bytes(600), "s1/" + "x" * 120 + ".jpg": b"de"}
    with tempfile.TemporaryDirectory() as folder:
        path = packed(Path(folder, f"x.{kind}"), members.items())
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if kind == "tar":
            del content[place:]
        else:
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        try:
            archive = archive_files(path)
            rows = listed(archive).rows(named=True)
        except SourceError:
            assume(False)
        for row in rows:
            if row["kind"] is None:
                with suppress(RefusedFileError):
                    assert archive.read(file_of(row)) in members.values()


def test_nothing_is_written_beside_an_archive(tmp_path):
    path = packed(tmp_path / "x.tar", [("s1/a.jpg", b"abc")])
    shutil.copy(packed(tmp_path / "y.zip", [("s1/a.jpg", b"abc")]), tmp_path / "z.zip")
    before = sorted(tmp_path.rglob("*"))
    contents(archive_files(path))
    contents(archive_files(tmp_path / "z.zip"))
    assert sorted(tmp_path.rglob("*")) == before
