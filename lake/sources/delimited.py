"""Delimited text as frames of strings: every row that the file holds, the malformed ones with their reason.

The standard library's reader and not polars': it says row by row what is wrong, where polars fails for the whole file
or cuts a long row short. It reads a million rows of eight columns in about five seconds.
"""

import codecs
import csv
import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Literal

import polars as pl

from lake.errors import SourceError

# A field that is longer is no field: a quote was left open, and the rest of the file stands in it.
MOST_SIGNS = 1 << 20
# Follows the last line of a table: where it is no row of its own, a quote is open.
_END = "\0the table ends here\0"
DELIMITERS = (",", ";", "\t", "|")
_ROWS_IN_FRAME = 50_000


def parts_of(table: Path, needed: Collection[str], delimiter: str) -> Iterator["Part"]:
    """Yield the rows of a table that must have some columns.

    Raises:
        SourceError: If the table or a column is missing, or it is no text in UTF-8.
    """
    text = text_of(table, delimiter)
    columns = text.columns()
    for column in needed:
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise SourceError(
                f"{table} has no column {column!r}{hint}. "
                f"Its columns, parted by {delimiter!r}, are {', '.join(columns)}."
            )
    yield from text.parts()


def text_of(table: Path, delimiter: str | None = None, encoding: str = "utf-8") -> "DelimitedText":
    """Return a table that is a file of its own.

    Raises:
        SourceError: If there is none, or it cannot be opened.
    """
    _opened(table).close()
    return DelimitedText(str(table), lambda: _opened(table), delimiter, encoding)


def _opened(table: Path) -> IO[bytes]:
    try:
        if table.is_file():
            return table.open("rb")
    except OSError as error:
        raise SourceError(f"the table {table} cannot be read: {error.strerror}") from error
    raise SourceError(f"there is no table {table}")


@dataclass(frozen=True)
class Part:
    """Some rows of a delimited file."""

    frame: pl.DataFrame  # row_number (the line where the row begins) and the columns as text, empty ones ""
    malformed: list[tuple[int, str]]  # (row_number, what is wrong) of the rows that have another number of fields


@dataclass(frozen=True)
class DelimitedText:
    """A file with one row per line, or per several lines where text in quotes has line ends."""

    name: str  # for messages
    open: Callable[[], IO[bytes]]  # opens it anew, for reading bytes
    delimiter: str | None = None  # None: the one of ``DELIMITERS`` under which the header shows the wanted column
    encoding: str = "utf-8"
    quote: str | None = '"'
    header: Sequence[str] | None = None  # where the file does not say its columns itself
    skipped_lines: int = 0  # before the first row

    def columns(self, wanted: str | None = None) -> tuple[str, ...]:
        """Return the names of the columns.

        Args:
            wanted: A column that tells the right delimiter.

        Raises:
            SourceError: If the file is empty, no text, or names a column twice.
        """
        return self._layout(wanted)[1]

    def parts(self, wanted: str | None = None) -> Iterator[Part]:
        """Yield the rows, ``_ROWS_IN_FRAME`` at a time.

        Raises:
            SourceError: If the file is no text of this encoding, or a field has more than ``MOST_SIGNS``.
        """
        delimiter, columns = self._layout(wanted)
        with self.open() as file, TextIOWrapper(file, self._codec, newline="") as text:
            rows = self._rows(text, delimiter)
            if self.header is None:
                next(rows, None)
            while gathered := list(islice(rows, _ROWS_IN_FRAME)):
                yield _part(gathered, columns)

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise SourceError(
                f"there is no encoding {self.encoding!r}; known are utf-8, latin-1, utf-16, ..."
            ) from None

    @property
    def _codec(self) -> str:
        return "utf-8-sig" if self.encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else self.encoding

    def _layout(self, wanted: str | None) -> tuple[str, tuple[str, ...]]:
        if self.header is not None:
            return self.delimiter or ",", tuple(self.header)
        tried = [self.delimiter] if self.delimiter else list(DELIMITERS)
        found: dict[str, tuple[str, ...]] = {}
        for delimiter in tried:
            with self.open() as file, TextIOWrapper(file, self._codec, newline="") as text:
                first = next(self._rows(text, delimiter), None)
            if first is None:
                raise SourceError(f"{self.name} is empty: it has no header")
            found[delimiter] = _named(first[1])
        chosen = next(
            (one for one, names in found.items() if wanted in names), max(found, key=lambda one: len(found[one]))
        )
        names = found[chosen]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SourceError(f"{self.name} names the column {', '.join(map(repr, twice))} more than once")
        return chosen, names

    def _rows(self, text: TextIOWrapper, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, fields) of each row that is not empty, after the skipped lines."""
        # The limit is the module's own, for every reader of the process; the default stops at long descriptions.
        csv.field_size_limit(MOST_SIGNS)
        quoting: Literal[0, 3] = csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL
        reader = csv.reader(self._lines(text), delimiter=delimiter, quotechar=self.quote, quoting=quoting)
        line = 1
        try:
            for fields in reader:
                if fields == [_END]:
                    return
                if fields and fields[-1].endswith(_END):
                    raise SourceError(
                        f"{self.name}, line {line}: a quote is opened and never closed; it swallows what follows it"
                    )
                if fields and line > self.skipped_lines:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(
                f"{self.name}, line {line}: {error}. A quote that was left open swallows what follows it."
            ) from error
        except UnicodeError as error:
            raise SourceError(
                f"{self.name} is no {self.encoding} text after line {line}: {error}. "
                f"Tables of older programs are latin-1 or utf-16: say --encoding."
            ) from error

    def _lines(self, text: TextIOWrapper) -> Iterator[str]:
        """Yield lines, none of which is held whole if it is longer than any row can be."""
        most = 16 * MOST_SIGNS
        number = 0
        while line := text.readline(most + 1):
            number += 1
            if len(line) > most:
                raise SourceError(f"{self.name}, line {number}: it has more than {most:,} signs; this is no table")
            yield line
        yield _END


def _named(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a header; one without a name goes by its place, and row_number is the lines' own name."""
    names = (cell.strip() or f"column {place}" for place, cell in enumerate(cells, start=1))
    return tuple("row number" if name == "row_number" else name for name in names)


def _part(gathered: list[tuple[int, list[str]]], columns: tuple[str, ...]) -> Part:
    width = len(columns)
    malformed = [
        (line, f"line {line} has {len(fields)} fields, the header has {width}")
        for line, fields in gathered
        if len(fields) != width
    ]
    whole = [(line, fields) for line, fields in gathered if len(fields) == width]
    by_column = zip(*(fields for _, fields in whole), strict=True) if whole else iter([()] * width)
    frame = pl.DataFrame(
        {
            "row_number": pl.Series([line for line, _ in whole], dtype=pl.Int64),
            **{name: pl.Series(cells, dtype=pl.String) for name, cells in zip(columns, by_column, strict=True)},
        }
    )
    return Part(frame, malformed)
