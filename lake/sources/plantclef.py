"""PlantCLEF: the table of its photographs of single plants, and the folder of its quadrats, which has no table.

The test split of the table is of single plants too: the quadrats are the contest's own test set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.files import Files
from lake.sources import (
    ROWS,
    SPECIES,
    Batch,
    conform,
    extra,
    number,
    plain_path,
    said,
    split_tags,
    unread,
    with_malformed,
)
from lake.sources.delimited import Part, parts_of

# Those with a place in ROWS and SPECIES. The rest is kept in `extra`: altitude, dataset, partner, publisher, references
# and the two addresses.
_PLACED = (
    "image_name",
    "organ",
    "species_id",
    "obs_id",
    "license",
    "author",
    "latitude",
    "longitude",
    "gbif_species_id",
    "species",
    "genus",
    "family",
    "learn_tag",
)
_ADDRESSES = ("url", "image_backup_url")

# How the projects that gave quadrats name them; the first that fits holds. What fits none is its own base quadrat.
_BASE_QUADRATS = (
    r"(?s)^(CBN-.*?-.*?)-\d{8}$",
    r"(?s)^(GUARDEN-.*?-.*?)-.*$",
    r"(?s)^(LISAH-.*?)-\d{8}$",
    r"(?s)^(OPTMix-\d+)-.*$",
    r"(?s)^(RNNB-\d+-\d+)-\d{8}$",
)
# RNNB and OPTMix are one transect each, the others one per site; 2024-CEV3 is the one quadrat of no project. What the
# organisers score by is not published: these are the groups into which the names of the 2,105 quadrats fall.
_TRANSECTS = (
    r"^(CBN-[^-]+)-",
    r"^(GUARDEN-[^-]+)-",
    r"^(LISAH-[^-]+)-",
    r"^(OPTMix)-",
    r"^(RNNB)-",
    r"^(\d{4}-CEV\d+)-",
)


@dataclass(frozen=True)
class PlantClefSource:
    """The table of single plants. A photograph is found by its name in whatever folder it lies."""

    csv: Path
    files: Files | None  # None: all photographs are on the web
    names_are_unique: bool = True  # they are hashes

    @property
    def uri(self) -> str:
        """The table."""
        return str(self.csv.resolve())

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows, then the files.

        Raises:
            SourceError: If the table or a column is missing, or a split is spelt in no known way.
        """
        for part in parts_of(self.csv, (*_PLACED, *_ADDRESSES), delimiter=";"):
            yield self._batch(part)
        if self.files is not None:
            for listed in self.files.listing():
                yield Batch(files=listed)

    def _batch(self, part: Part) -> Batch:
        frame = part.frame.with_columns(said("image_name")).with_columns(plain_path("image_name").replace("", None))
        rest = frame.with_columns(unread("latitude", 90), unread("longitude", 180))
        rows = frame.select(
            "row_number",
            "image_name",
            said("organ"),
            said("license"),
            said("author"),
            said("obs_id").alias("observation_id"),
            pl.col("image_name").alias("file_name"),
            pl.coalesce(said(column) for column in _ADDRESSES).alias("url"),
            split_tags("learn_tag", f"column 'learn_tag' of {self.csv.name}", frame),
            number("latitude", -90, 90),
            number("longitude", -180, 180),
            rest.select(extra({"latitude", "longitude", *frame.columns} - _TAKEN)).to_series(),
        )
        species = frame.select(
            "row_number",
            said("species_id"),
            said("species").alias("scientific_name"),
            said("genus"),
            said("family"),
            said("gbif_species_id").alias("gbif_id"),
        ).drop_nulls("species_id")
        return Batch(rows=with_malformed(rows, part.malformed), species=conform(species, SPECIES))


_TAKEN = {"row_number", *_PLACED} - {"latitude", "longitude"}


@dataclass(frozen=True)
class PlantClefQuadrats:
    """The quadrats: one photograph each, all that is known of which stands in the file's name."""

    files: Files
    names_are_unique: bool = False

    @property
    def uri(self) -> str:
        """The folder."""
        return self.files.uri

    def __iter__(self) -> Iterator[Batch]:
        """Yield a row for each file, together with the file.

        Raises:
            SourceError: If the place of the files is not there.
        """
        count = 0
        for listed in self.files.listing():
            yield Batch(rows=_quadrats(listed, count), files=listed)
            count += listed.height


def _quadrats(listed: pl.DataFrame, before: int) -> pl.DataFrame:
    """Return the rows of a listing, numbered after those before."""
    stem = pl.col("file_name").str.replace(r"(?s)^.*/", "").str.replace(r"(?s)\.[^.]*$", "")
    named = pl.col("quadrat")
    is_other = pl.col("kind").is_null() & ~pl.col("is_image")
    rows = (
        listed.with_columns(stem.alias("quadrat"))
        .with_row_index("row_number", offset=before + 1)
        .select(
            "row_number",
            "file_name",
            pl.col("file_name").alias("image_name"),
            named.alias("observation_id"),
            pl.coalesce(*(named.str.extract(pattern) for pattern in _BASE_QUADRATS), named).alias("base_quadrat"),
            pl.coalesce(named.str.extract(pattern) for pattern in _TRANSECTS).alias("transect"),
            named.str.extract(r"-(\d{8})$").str.to_date("%Y%m%d", strict=False).alias("observed_on"),
            pl.when(is_other).then(pl.lit("not_an_image")).otherwise("kind").alias("kind"),
            pl.when(is_other).then(pl.lit("its extension is not that of an image")).otherwise("detail").alias("detail"),
        )
    )
    return conform(rows, ROWS)
