"""A CSV table with named columns, beside a folder or an archive of photographs, or with their addresses."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.errors import SourceError
from lake.files import Files
from lake.sources import (
    ROWS,
    SPECIES,
    Batch,
    conform,
    day,
    extra,
    number,
    outermost_folders,
    plain_path,
    said,
    split_tags,
    unread,
    unread_day,
    with_malformed,
)
from lake.sources.delimited import text_of

# Columns of `image_records` that a table fills by naming a column so; all others are kept as JSON.
_TEXT_COLUMNS = ("organ", "country_code", "base_quadrat", "transect", "license", "author")
_TAXONOMY = ("genus", "family", "gbif_id")
# Column -> its value, and what it says where that is none.
_VALUES = {
    "latitude": (number("latitude", -90, 90), unread("latitude", 90)),
    "longitude": (number("longitude", -180, 180), unread("longitude", 180)),
    "observed_on": (day("observed_on"), unread_day("observed_on")),
}


@dataclass(frozen=True)
class TableSource:
    """One row per photograph. All values are read as text: ids keep their leading zeros."""

    csv: Path
    files: Files | None  # None: every photograph is fetched
    image_column: str | None  # paths inside the place of the files; None: the address names the photograph
    species_column: str | None = None  # without it nothing is labelled
    observation_column: str | None = None  # without it, each photograph is an observation of its own
    split_column: str | None = None
    name_column: str | None = None  # the scientific name; without it the species id stands for it
    species_separator: str | None = None  # between the species of a quadrat
    url_column: str | None = None  # addresses of photographs that have no file
    delimiter: str | None = None  # None: found by the header
    encoding: str = "utf-8"
    names_are_unique: bool = False

    @property
    def uri(self) -> str:
        """The table."""
        return str(self.csv.resolve())

    def __iter__(self) -> Iterator[Batch]:
        """Yield every row, and every file that lies where the table's photographs lie.

        That is below the outermost folders that the rows name: a table beside the photographs of another one does not
        answer for those. Where names are unique it is everywhere.

        Raises:
            SourceError: If the table or a column is missing, or a split is spelt in no known way.
        """
        text = text_of(self.csv, self.delimiter, self.encoding)
        wanted = self.image_column or self.url_column
        columns = text.columns(wanted)
        self._require(columns)
        folders: set[str] = set()
        for part in text.parts(wanted):
            rows = self._rows(part.frame, columns)
            folders |= outermost_folders(rows["file_name"])
            yield Batch(with_malformed(rows, part.malformed), self._species(part.frame, columns))
        if self.files is not None and folders:
            for listing in self.files.listing(None if self.names_are_unique else folders):
                yield Batch(files=listing)

    def _require(self, columns: Sequence[str]) -> None:
        asked = {
            "image": self.image_column,
            "species": self.species_column,
            "observation": self.observation_column,
            "split": self.split_column,
            "name": self.name_column,
            "url": self.url_column,
        }
        if self.image_column is None and self.url_column is None:
            raise SourceError(f"which column of {self.csv} names the photographs? Say --image-column or --url-column")
        for role, column in asked.items():
            if column is not None and column not in columns:
                near = difflib.get_close_matches(column, columns, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise SourceError(
                    f"{self.csv} has no column {column!r} (asked for as --{role}-column){hint} "
                    f"Its columns are {', '.join(columns)}."
                )

    def _rows(self, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """Return what the rows say of photographs."""
        chosen = {
            "observation_id": said(self.observation_column) if self.observation_column else None,
            "url": said(self.url_column) if self.url_column else None,
            "split_tag": split_tags(self.split_column, f"column {self.split_column!r} of {self.csv.name}", frame)
            if self.split_column
            else None,
            "file_name": self._file_name() if self.image_column and self.files else None,
            "image_name": self._image_name(),
            **{name: said(name) for name in _TEXT_COLUMNS if name in columns},
            **{name: value for name, (value, _) in _VALUES.items() if name in columns},
        }
        if self.image_column:
            frame = frame.with_columns(pl.col(self.image_column).str.strip_chars())
        given = {name: expression.alias(name) for name, expression in chosen.items() if expression is not None}
        rest = frame.with_columns(said_else for name, (_, said_else) in _VALUES.items() if name in columns)
        rows = frame.select("row_number", *given.values(), rest.select("row_number", self._extra(columns))["extra"])
        # Where names are unique, the folders before them may be those of another machine.
        return conform(rows, ROWS) if self.names_are_unique else _refuse_outside(conform(rows, ROWS))

    def _image_name(self) -> pl.Expr:
        if self.image_column is None:
            return said(str(self.url_column))
        return self._file_name()

    def _file_name(self) -> pl.Expr:
        """Return the path inside the place of the files, also of a name that is written from the root of the system."""
        name = plain_path(str(self.image_column))
        inside = name.str.strip_prefix(f"{self.files.uri.rstrip('/')}/") if self.files else name
        return pl.when(inside.str.len_bytes() > 0).then(inside).otherwise(None)

    def _extra(self, columns: Sequence[str]) -> pl.Expr:
        """Return what has no column of its own, and what was none of the values that its column takes."""
        own = {
            self.image_column,
            self.species_column,
            self.observation_column,
            self.split_column,
            self.name_column,
            self.url_column,
            *_TEXT_COLUMNS,
            *_TAXONOMY,
        }
        return extra(name for name in columns if name not in own)

    def _species(self, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """Return the species that each row names."""
        if self.species_column is None:
            return SPECIES.to_frame()
        named = frame.select(
            "row_number",
            species_id=self._list(self.species_column),
            scientific_name=self._list(self.name_column) if self.name_column else pl.lit(None, pl.List(pl.String)),
            **{name: said(name) for name in _TAXONOMY if name in columns},
        ).filter(pl.col("species_id").list.len() > 0)
        # A list of another length says of no species which name is its own.
        paired = pl.col("scientific_name").list.len() == pl.col("species_id").list.len()
        nameless = pl.col("species_id").list.eval(pl.lit(None, pl.String))
        species = (
            named.with_columns(scientific_name=pl.when(paired).then("scientific_name").otherwise(nameless))
            .explode("species_id", "scientific_name")
            .filter(pl.col("species_id").is_not_null())
        )
        return conform(species, SPECIES)

    def _list(self, column: str) -> pl.Expr:
        """Return the parts of a cell, without outer space and without empty ones."""
        cell = pl.col(column)
        parts = cell.str.split(self.species_separator) if self.species_separator else pl.concat_list(cell)
        stripped = pl.element().str.strip_chars()
        return parts.list.eval(stripped.filter(stripped.str.len_bytes() > 0))


def _refuse_outside(rows: pl.DataFrame) -> pl.DataFrame:
    """Set aside the rows whose file would lie outside of the place of the files."""
    name = pl.col("file_name")
    outside = name.str.starts_with("/") | name.str.contains(r"(?:^|/)\.\.(?:/|$)") | name.str.contains(r"^[A-Za-z]:/")
    return rows.with_columns(
        kind=pl.when(outside).then(pl.lit("outside_root")).otherwise(pl.col("kind")),
        detail=pl.when(outside)
        .then(pl.lit("its path leads out of the folder of the photographs; --root says where they lie"))
        .otherwise(pl.col("detail")),
    )
