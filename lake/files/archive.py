"""Photographs inside a .tar or .zip. They are read where they lie: nothing is ever unpacked to disk."""

import os
import re
import stat
import tarfile
import weakref
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import polars as pl

from lake.errors import SourceError
from lake.files import (
    File,
    Files,
    RefusedFileError,
    composed,
    frames,
    is_hidden,
    is_image_name,
    is_wanted,
    modified_ns,
    printable,
    refuse_too_large,
)

# First bytes -> what it is compressed with, and what takes that away.
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # of one with members, and of an empty one
_TAR = slice(257, 262)
_BLOCK = 512  # of a tar
# The only two whose unpacking the standard library can stop in its midst; a few bytes of bzip2 are gigabytes.
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UTF_8_NAME = 0x800
_ENCRYPTED = 0x1
_LEADS_OUT = re.compile(r"^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)|^$")
_LARGEST = (1 << 63) - 1


def archive_files(path: Path) -> Files:
    """Return the files of an archive, which its first bytes, not its name, show to be a tar or a zip.

    Raises:
        SourceError: If there is none, it is neither, or it cannot be read.
    """
    try:
        return _files_of(path)
    except OSError as error:
        raise SourceError(f"the archive {path} cannot be read: {error.strerror}") from error


def _files_of(path: Path) -> Files:
    if not path.is_file():
        raise SourceError(f"there is no archive {path}")
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    for sign, (name, program) in _COMPRESSED.items():
        if head.startswith(sign):
            raise SourceError(
                f"{path} is compressed with {name}: it can only be read from its start, not photograph by photograph. "
                f"Take the compression away with `{program} {path}` and take in the .tar."
            )
    if head.startswith(_ZIP):
        return ZipFiles(path)
    # The oldest tars have no sign, and a zip may follow a program that unpacks it.
    if head[_TAR] == b"ustar" or (head and tarfile.is_tarfile(path)):
        return TarFiles(path)
    if zipfile.is_zipfile(path):
        return ZipFiles(path)
    raise SourceError(f"{path} is no tar and no zip: " + (f"it begins with {head[:16]!r}" if head else "it is empty"))


class TarFiles:
    """The files of a tar, in its order.

    A name that stands in it twice is listed twice, where unpacking would keep the last: a listing does not look ahead.
    """

    def __init__(self, path: Path) -> None:
        self._archive = _Archive(path)

    @property
    def uri(self) -> str:
        """The archive, absolute."""
        return self._archive.path

    def listing(self, folders: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the files as ``lake.files.Files`` says it. Holds one member at a time.

        A tar that was cut off or damaged is listed up to there; one row of kind ``truncated``, under the name of the
        archive itself, stands for the rest.

        Raises:
            SourceError: If not even its first member can be read.
        """
        return frames(self._rows(folders))

    def read(self, file: File) -> bytes:
        """Return the bytes of a member as ``lake.files.Files`` says it."""
        refuse_too_large(file)
        self._archive.refuse_changed(file)
        try:
            # At a place of its own, so that many threads may share the file.
            content = os.pread(
                self._archive.file.fileno(), file.byte_count, -1 if file.position is None else file.position
            )
        except OSError as error:
            raise RefusedFileError("cannot_be_opened", f"the archive cannot be read: {error.strerror}") from error
        # Again: what was overwritten while it was read is half of each.
        self._archive.refuse_changed(file)
        if len(content) != file.byte_count:
            raise RefusedFileError("unreadable", f"{len(content):,} of {file.byte_count:,} bytes can be read")
        return content

    def _rows(self, folders: Collection[str] | None) -> Iterator[tuple[object, ...]]:
        archive = self._archive
        with archive.opened_anew() as file:
            try:
                tar = tarfile.open(fileobj=file, mode="r:", encoding="utf-8")  # noqa: SIM115  (only ``file`` is open)
            # Its parser raises what it meets (TarError, ValueError, OverflowError, ...).
            except Exception as error:
                raise SourceError(f"{archive.path} is no whole tar: {error}") from error
            reached = -1
            while True:
                try:
                    member = tar.next()
                except Exception as error:
                    yield archive.rest(tar.offset, f"{type(error).__name__}: {error}")
                    return
                if member is None:
                    break
                tar.members = []  # type: ignore[attr-defined]  # else it grows with the archive
                # A size below zero leads back: without end, from the same header to itself.
                if member.size < 0 or tar.offset <= reached:
                    yield archive.rest(tar.offset, "a member says that it ends before it begins")
                    return
                reached = tar.offset
                missing = member.offset_data + member.size - archive.size
                if member.isreg() and not member.issparse() and missing > 0:
                    name = printable(member.name)
                    yield archive.rest(archive.size, f"it ends inside of {name!r}, {missing:,} bytes early")
                    return
                if not member.isdir():
                    kind, detail = _tar_member_refusal(member)
                    size = member.size if kind is None else None
                    yield from archive.row(member.name, size, member.offset_data, folders, kind, detail)
            end = os.pread(file.fileno(), _BLOCK, tar.offset)
            if len(end) < _BLOCK:
                yield archive.rest(tar.offset, "its end mark is missing")
            elif any(end):
                yield archive.rest(tar.offset, "what stands there is no header of a member")


class ZipFiles:
    """The files of a zip, in the order of its directory.

    Of a name that stands in it twice the last counts, as in unpacking; the others are listed as ``duplicate_name``.
    The directory is held in memory: some 600 bytes for each member, half as many again while it is listed.
    """

    def __init__(self, path: Path) -> None:
        self._archive = _Archive(path)
        try:
            self._zip = zipfile.ZipFile(self._archive.file)
        # Its parser raises what it meets (BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError, ...).
        except Exception as error:
            raise SourceError(
                f"{path} is no whole zip: {error}. Its directory stands at its end: a copy that was cut off has none."
            ) from error
        self._members = {member.header_offset: member for member in self._zip.infolist()}
        self._lock = Lock()  # the zip counts who reads it

    @property
    def uri(self) -> str:
        """The archive, absolute."""
        return self._archive.path

    def listing(self, folders: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the files as ``lake.files.Files`` says it."""
        return frames(self._rows(folders))

    def read(self, file: File) -> bytes:
        """Return the bytes of a member as ``lake.files.Files`` says it."""
        refuse_too_large(file)
        self._archive.refuse_changed(file)
        member = self._members.get(-1 if file.position is None else file.position)
        if member is None or member.file_size != file.byte_count:
            raise RefusedFileError("changed_while_reading", "the archive holds no such member any more")
        try:
            with self._lock:
                opened = self._zip.open(member)
            try:
                # Bounded by what was listed, whatever it would unpack to; at its end the checksum is compared.
                content = opened.read(file.byte_count + 1)
            finally:
                with self._lock:
                    opened.close()
        # Unpacking raises what it meets (BadZipFile, zlib.error, EOFError, RuntimeError, ...); a hostile member must
        # not end the run of the good ones.
        except Exception as error:
            raise RefusedFileError("unreadable", f"it cannot be unpacked: {type(error).__name__}: {error}") from error
        self._archive.refuse_changed(file)
        if len(content) != file.byte_count:
            raise RefusedFileError("unreadable", f"it unpacks to {len(content):,} of {file.byte_count:,} bytes")
        return content

    def _rows(self, folders: Collection[str] | None) -> Iterator[tuple[object, ...]]:
        files = [member for member in self._zip.infolist() if not member.is_dir()]
        # Old programs of Windows part folders by backslashes.
        members = [(member, _zip_member_name(member).replace("\\", "/")) for member in files]
        last = {_plain(printable(name)): place for place, (_, name) in enumerate(members)}
        for place, (member, name) in enumerate(members):
            kind, detail = _zip_member_refusal(member)
            if last[_plain(printable(name))] != place:
                kind, detail = "duplicate_name", "a later member has its name; unpacking would keep that one"
            if not 0 <= member.header_offset < self._archive.size:
                kind, detail = "unreadable", "the directory says that it lies outside of the archive"
                yield from self._archive.row(name, None, None, folders, kind, detail)
            else:
                size = min(member.file_size, _LARGEST)
                yield from self._archive.row(name, size, member.header_offset, folders, kind, detail)


class _Archive:
    """An archive that is held open: what was opened is what is read, whatever takes its place."""

    def __init__(self, path: Path) -> None:
        self.path = str(path.resolve())
        if printable(self.path) != self.path:
            raise SourceError(f"the bytes of the path {printable(self.path)} are no UTF-8: rename the archive")
        try:
            self.file = path.open("rb")
        except OSError as error:
            raise SourceError(f"the archive {path} cannot be read: {error.strerror}") from error
        weakref.finalize(self, self.file.close)
        self._status = os.fstat(self.file.fileno())
        self.size = self._status.st_size

    def opened_anew(self) -> BinaryIO:
        """Open it with a place in it of one's own.

        Raises:
            SourceError: If it is not the one any more that was opened first.
        """
        try:
            file = Path(self.path).open("rb")  # noqa: SIM115  (the caller closes it)
        except OSError as error:
            raise SourceError(f"the archive {self.path} cannot be read: {error.strerror}") from error
        if _version(os.fstat(file.fileno())) != _version(self._status):
            file.close()
            raise SourceError(f"the archive {self.path} has changed since it was opened: take it in anew")
        return file

    def refuse_changed(self, file: File) -> None:
        """Refuse a member of an archive that is not the listed one any more."""
        try:
            status = Path(self.path).stat()
        except OSError as error:
            raise RefusedFileError("cannot_be_opened", f"the archive cannot be read: {error.strerror}") from error
        if _version(status) != _version(self._status) or modified_ns(status) != file.modified_ns:
            raise RefusedFileError(
                "changed_while_reading",
                f"the archive was listed with {self.size:,} bytes, changed at {file.modified_ns} ns; "
                f"found with {status.st_size:,} bytes, changed at {status.st_mtime_ns} ns",
            )

    def row(
        self,
        name: str,
        size: int | None,
        position: int | None,
        folders: Collection[str] | None,
        kind: str | None,
        detail: str | None,
    ) -> Iterator[tuple[object, ...]]:
        """Yield the row of a member; none for one that is hidden or not asked for."""
        text = printable(name)
        file_name = _plain(text)
        if leads_out := _LEADS_OUT.search(name):
            file_name = composed(text)
            sign = f"{leads_out.group()!r} in its name" if text else "an empty name"
            kind, detail = "outside_root", f"{sign} leads out of the archive, or would on some system"
        elif not file_name or is_hidden(file_name) or file_name.startswith("__MACOSX/"):
            return
        elif text != name:
            kind, detail = "name_not_text", "the bytes of its name are no UTF-8: pack it anew with such a name"
        if is_wanted(file_name, folders):
            is_image = is_image_name(file_name)
            yield file_name, f"{self.path}!/{text}", size, modified_ns(self._status), position, is_image, kind, detail

    def rest(self, offset: int, detail: str) -> tuple[object, ...]:
        """Return the row that stands for what cannot be listed."""
        whole = f"byte {offset:,} of {self.size:,}: {detail}; what follows is lost"
        return Path(self.path).name, self.path, None, modified_ns(self._status), None, False, "truncated", whole


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _plain(text: str) -> str:
    """Return a member's name as a path inside the archive: ``./a//b.jpg`` is ``a/b.jpg``."""
    return composed("/".join(part for part in text.split("/") if part not in {"", "."}))


def _tar_member_refusal(member: tarfile.TarInfo) -> tuple[str | None, str | None]:
    if member.issparse():
        return "not_a_file", "a sparse file: its bytes do not lie in one piece. Pack it without --sparse"
    if member.islnk() or member.issym():
        return "not_a_file", f"a link to {printable(member.linkname)}. Pack with --dereference --hard-dereference"
    if not member.isreg():
        return "not_a_file", f"a member of type {member.type!r}"
    return None, None


def _zip_member_refusal(member: zipfile.ZipInfo) -> tuple[str | None, str | None]:
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode not in {0, stat.S_IFREG}:
        return "not_a_file", "a link" if mode == stat.S_IFLNK else f"a member of mode {mode:o}"
    if member.flag_bits & _ENCRYPTED:
        return "unreadable", "it is encrypted"
    if member.compress_type not in _ZIP_METHODS:
        return "unreadable", f"it is compressed by method {member.compress_type}; read are stored (0) and deflated (8)"
    return None, None


def _zip_member_name(member: zipfile.ZipInfo) -> str:
    """Return the name, with surrogates for bytes that are no UTF-8."""
    if member.flag_bits & _UTF_8_NAME:
        return member.filename
    # Without the flag the standard library reads code page 437; most programs then have written UTF-8 all the same.
    return member.filename.encode("cp437").decode("utf-8", "surrogateescape")
