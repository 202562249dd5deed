"""A CSV table with named columns beside a folder of photographs."""

import difflib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import polars as pl
from polars.exceptions import PolarsError

from lake.errors import SourceError
from lake.sources import (
    SourceIssue,
    SourceRecord,
    SourceSpecies,
    files_below,
    is_image_name,
    printable,
    split_tag,
)

# Columns of `image_records` that a table fills by naming a column so; all others are kept as JSON.
_TEXT_COLUMNS = ("organ", "country_code", "license", "author")


@dataclass(frozen=True)
class TableSource:
    """One row per photograph. All values are read as text: ids keep their leading zeros."""

    csv: Path
    image_column: str
    species_column: str
    observation_column: str | None = None  # without it, each photograph is an observation of its own
    split_column: str | None = None
    name_column: str | None = None  # the scientific name; without it the species id is the name
    species_separator: str | None = None  # between the species of a quadrat
    root: Path | None = None  # where the image column's paths begin; by default beside the table

    @property
    def uri(self) -> str:
        """The table."""
        return str(self.csv.resolve())

    def __iter__(self) -> Iterator[SourceRecord | SourceIssue]:
        """Yield every row, and every image file that no row names and that lies where the table's photographs lie.

        That is below the outermost folders that the rows name: a table beside the photographs of another one does not
        answer for those.

        Raises:
            SourceError: If the table or a column is missing, or a split is spelt in no known way.
        """
        rows = self._rows()
        species = self._species_by_observation(rows)
        root = self._root
        named: set[str] = set()
        files: set[Path] = set()
        for number, row in enumerate(rows.iter_rows(named=True), start=2):  # line 1 is the header
            name = self._name(row)
            if name is None:
                yield SourceIssue(f"row {number}", "row_without_name", f"{self.image_column} is empty")
                continue
            if name in named:
                yield SourceIssue(name, "duplicate_name", f"row {number} names the photograph a second time")
                continue
            named.add(name)
            path = root / name
            files.add(_plain(path))
            if not _is_file(path):
                yield SourceIssue(name, "row_without_file", f"row {number}: there is no file {path}")
                continue
            yield self._record(name, path, row, species)
        for path in _files_beside(root, named):
            if is_image_name(path) and _plain(path) not in files:
                name = printable(path.relative_to(root).as_posix())
                yield SourceIssue(name, "file_without_row", f"no row of {self.csv.name} names it")

    @property
    def _root(self) -> Path:
        return self.csv.parent if self.root is None else self.root

    def _rows(self) -> pl.DataFrame:
        if not self.csv.is_file():
            raise SourceError(f"there is no table {self.csv}")
        try:
            # infer_schema=False: every value stays the text that it was.
            rows = pl.scan_csv(self.csv, infer_schema=False, encoding="utf8").collect(engine="streaming")
        except PolarsError as error:
            raise SourceError(f"{self.csv} cannot be read as a CSV table: {error}") from error
        asked = {
            "image": self.image_column,
            "species": self.species_column,
            "observation": self.observation_column,
            "split": self.split_column,
            "name": self.name_column,
        }
        for role, column in asked.items():
            if column is not None and column not in rows.columns:
                near = difflib.get_close_matches(column, rows.columns, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise SourceError(
                    f"{self.csv} has no column {column!r} (asked for as --{role}-column){hint} "
                    f"Its columns are {', '.join(rows.columns)}."
                )
        if self.split_column is not None:
            for tag in rows[self.split_column].drop_nulls().unique().sort():
                if tag.strip():
                    split_tag(tag, f"column {self.split_column!r} of {self.csv.name}")
        return rows

    def _name(self, row: dict[str, str | None]) -> str | None:
        """Return the photograph's name: ``./a.jpg`` and ``a.jpg`` are one, and so are both kinds of slash."""
        given = _clean(row[self.image_column])
        return None if given is None else PurePosixPath(given.replace("\\", "/")).as_posix()

    def _observation(self, row: dict[str, str | None], name: str) -> str:
        given = _clean(row[self.observation_column]) if self.observation_column else None
        return name if given is None else given

    def _species_by_observation(self, rows: pl.DataFrame) -> dict[str, tuple[SourceSpecies, ...]]:
        """Return the species of each observation over all of its rows, ordered by id."""
        found: dict[str, dict[str, SourceSpecies]] = {}
        for row in rows.iter_rows(named=True):
            name = self._name(row)
            listed = _clean(row[self.species_column])
            if name is None or listed is None:
                continue
            scientific = _clean(row[self.name_column]) if self.name_column else None
            ids = self._parts(listed)
            names = self._parts(scientific) if scientific else ids
            if len(names) != len(ids):
                names = ids  # a list of another length says of no species which name is its own
            of_observation = found.setdefault(self._observation(row, name), {})
            for species_id, label in zip(ids, names, strict=True):
                of_observation.setdefault(species_id, SourceSpecies(species_id, label))
        return {key: tuple(value[part] for part in sorted(value)) for key, value in found.items()}

    def _parts(self, listed: str) -> list[str]:
        parts = listed.split(self.species_separator) if self.species_separator else [listed]
        return [part.strip() for part in parts if part.strip()]

    def _record(
        self,
        name: str,
        path: Path,
        row: dict[str, str | None],
        species: dict[str, tuple[SourceSpecies, ...]],
    ) -> SourceRecord:
        observation_id = self._observation(row, name)
        tag = _clean(row[self.split_column]) if self.split_column else None
        own = {self.image_column, self.species_column, self.observation_column, self.split_column, self.name_column}
        rest = {key: value for key, value in row.items() if key not in own and value}
        latitude = _number(rest, "latitude")
        longitude = _number(rest, "longitude")
        observed_on = _day(rest, "observed_on")
        texts = {column: rest.pop(column, None) for column in _TEXT_COLUMNS}
        return SourceRecord(
            image_name=name,
            path=path,
            observation_id=observation_id,
            species=species.get(observation_id, ()),
            split_tag=None if tag is None else split_tag(tag, f"{self.csv.name}"),
            latitude=latitude,
            longitude=longitude,
            observed_on=observed_on,
            extra=rest,
            **texts,
        )


def _files_beside(root: Path, named: set[str]) -> Iterator[Path]:
    """Yield the files below the outermost folders of some names, and those of the root if a name lies there.

    Raises:
        SourceError: If the root is no folder.
    """
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}")
    # What lies above the root is named by rows alone.
    relative = [PurePosixPath(name) for name in named if not name.startswith("/")]
    folders = {path.parts[0] for path in relative if len(path.parts) > 1}
    names_here = any(len(path.parts) == 1 for path in relative)
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name in folders:
            yield from files_below(entry)
        elif entry.is_file() and names_here and not entry.name.startswith("."):
            yield entry


def _clean(value: str | None) -> str | None:
    """Return a value without outer space, None where nothing is left."""
    return (value or "").strip() or None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a cell of a table may be longer than any file name
        return False


def _plain(path: Path) -> Path:
    """Return a path that is the same for every way of writing it."""
    return Path(os.path.normpath(path.absolute()))


def _number(rest: dict[str, str], column: str) -> float | None:
    """Take a number out of the row; what is no number stays in the rest, so that it is not lost."""
    try:
        number = float(rest.get(column, ""))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    del rest[column]
    return number


def _day(rest: dict[str, str], column: str) -> date | None:
    """Take an ISO date out of the row; what is none stays in the rest, so that it is not lost."""
    try:
        day = date.fromisoformat(rest.get(column, ""))
    except ValueError:
        return None
    del rest[column]
    return day
