"""Where photographs lie: in a folder, inside an archive, on the web. Lists files and reads their bytes.

Nothing here knows what a photograph shows, and nothing is ever written to where it lies.
"""

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import polars as pl
from PIL import Image

# A listing: one row per file. ``kind`` and ``detail`` are null where the file can be read.
LISTING = pl.Schema(
    {
        "file_name": pl.String(),  # the path inside the place, with forward slashes
        "location": pl.String(),  # the whole address, for people and as a key
        "byte_count": pl.Int64(),
        "modified_ns": pl.Int64(),  # since 1970; of a member of an archive: the archive's own
        "position": pl.Int64(),  # where in an archive it begins; null outside of one
        "is_image": pl.Boolean(),  # by its extension
        "kind": pl.String(),  # why it is set aside without being read
        "detail": pl.String(),
    }
)
# Of a photograph on the web, whose size and time nobody knows before it has been fetched.
UNKNOWN = -1
# A raw scan of 13,300 px square in 8 bits and three channels is 530 MB; a compressed photograph is far below this.
MOST_BYTES = 256 << 20
_ROWS_IN_FRAME = 20_000
_LATEST_NS = (1 << 63) - 1  # in the year 2262; some file systems count further


@dataclass(frozen=True)
class File:
    """One file as a listing named it."""

    location: str
    byte_count: int
    modified_ns: int
    position: int | None = None

    @property
    def is_on_web(self) -> bool:
        """True where no listing has named it: whatever address a table gives, it is no path of this machine."""
        return self.byte_count == UNKNOWN


class RefusedFileError(Exception):
    """A file cannot be read. It becomes a row of ``ingest_issues``."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Files(Protocol):
    """A place of photographs. Reading is safe from several threads at once."""

    @property
    def uri(self) -> str:
        """The place, for people."""

    def listing(self, folders: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the files in a fixed order, hidden ones left out, as frames of the ``LISTING`` schema.

        Args:
            folders: The outermost folders to look into, and "" for the files that lie in none; all by default.

        Raises:
            SourceError: If the place is not there.
        """

    def read(self, file: File) -> bytes:
        """Return the bytes of a file.

        Raises:
            RefusedFileError: If it cannot be read, is another one than was listed, or has more than ``MOST_BYTES``.
        """


def frames(rows: Iterator[tuple[object, ...]]) -> Iterator[pl.DataFrame]:
    """Gather tuples in the order of ``LISTING`` into frames."""
    gathered: list[tuple[object, ...]] = []
    for row in rows:
        gathered.append(row)
        if len(gathered) == _ROWS_IN_FRAME:
            yield _frame(gathered)
            gathered = []
    if gathered:
        yield _frame(gathered)


def is_image_name(name: str) -> bool:
    """Say whether the extension, in any case, is one of an image format that can be decoded."""
    _, dot, extension = name.rpartition(".")
    return bool(dot) and extension.lower() in _image_extensions()


@cache
def _image_extensions() -> frozenset[str]:
    return frozenset(
        extension.removeprefix(".") for extension, form in Image.registered_extensions().items() if form in Image.OPEN
    )


def is_hidden(name: str) -> bool:
    """Say whether a path inside a place, or a folder on its way, begins with a dot (``.DS_Store``, ``.git``)."""
    return any(part.startswith(".") for part in name.split("/"))


def composed(name: str) -> str:
    """Return a name in the form in which é is one sign: file systems and tables differ in how they write it."""
    return unicodedata.normalize("NFC", name)


def printable(name: str) -> str:
    """Return a file's name as text: bytes that are no UTF-8, which no table can hold, are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def modified_ns(status: os.stat_result) -> int:
    """Return when a file was changed last, as far as a listing can hold it."""
    return max(-_LATEST_NS, min(status.st_mtime_ns, _LATEST_NS))


def refuse_too_large(file: File) -> None:
    """Refuse a file of more than ``MOST_BYTES`` before it is read.

    Raises:
        RefusedFileError: Of the kind ``too_large``.
    """
    if file.byte_count > MOST_BYTES:
        raise RefusedFileError("too_large", f"it has {file.byte_count:,} bytes; the limit is {MOST_BYTES:,}")


def is_wanted(name: str, folders: Collection[str] | None) -> bool:
    """Say whether a path lies in one of the outermost folders asked for."""
    if folders is None:
        return True
    first, slash, _ = name.partition("/")
    return (first if slash else "") in folders


def _frame(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=LISTING, orient="row")
