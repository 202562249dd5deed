"""The export of observations that iNaturalist makes on demand: one row per observation, with its first photograph."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.files import Files
from lake.sources import (
    SPECIES,
    Batch,
    conform,
    day,
    extra,
    genus_in_name,
    number,
    said,
    unread,
    unread_day,
    with_malformed,
)
from lake.sources.addresses import name_in_address, name_of_download
from lake.sources.delimited import Part, parts_of

_NEEDED = ("id", "image_url", "scientific_name", "taxon_id")
# Whoever asks for an export chooses its columns.
_OPTIONAL = ("observed_on", "latitude", "longitude", "license", "user_login", "user_name")


@dataclass(frozen=True)
class INaturalistSource:
    """The photograph of each observation, at the address and in the size that the export gives.

    Its name is the path of that address, ``photos/129275/medium.jpg``. Where people keep downloads, that is named
    ``129275.jpg``, in whatever folder: the number of a photograph is given once.
    """

    csv: Path
    files: Files | None  # None: all photographs are on the web
    names_are_unique: bool = True

    @property
    def uri(self) -> str:
        """The table."""
        return str(self.csv.resolve())

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows, then the files.

        Raises:
            SourceError: If the table or a column is missing.
        """
        for part in parts_of(self.csv, _NEEDED, delimiter=","):
            yield _batch(part)
        if self.files is not None:
            for listed in self.files.listing():
                yield Batch(files=listed)


def _batch(part: Part) -> Batch:
    absent = [pl.lit("").alias(column) for column in _OPTIONAL if column not in part.frame.columns]
    frame = part.frame.with_columns(absent)
    is_address = name_in_address("image_url").is_not_null()
    rest = frame.with_columns(
        unread("latitude", 90),
        unread("longitude", 180),
        unread_day("observed_on"),
        pl.when(is_address).then(pl.lit("")).otherwise("image_url").alias("image_url"),
    )
    kept = set(frame.columns) - {"row_number", "id", "taxon_id", "scientific_name", "license", "user_name"}
    rows = frame.select(
        "row_number",
        name_in_address("image_url").alias("image_name"),
        name_of_download("image_url").alias("file_name"),
        pl.when(is_address).then(said("image_url")).otherwise(None).alias("url"),
        said("id").alias("observation_id"),
        number("latitude", -90, 90),
        number("longitude", -180, 180),
        day("observed_on"),
        said("license"),
        pl.coalesce(said("user_name"), said("user_login")).alias("author"),
        rest.select(extra(kept)).to_series(),
    )
    species = frame.select(
        "row_number",
        said("taxon_id").alias("species_id"),
        said("scientific_name"),
        genus_in_name("scientific_name").alias("genus"),
    ).drop_nulls("species_id")
    return Batch(rows=with_malformed(rows, part.malformed), species=conform(species, SPECIES))
