"""SnakeCLEF: its tables of training and validation, and the list of venomous species."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.errors import SourceError
from lake.files import Files
from lake.sources import (
    SPECIES,
    Batch,
    conform,
    extra,
    outermost_folders,
    plain_path,
    said,
    split_tags,
    with_malformed,
)
from lake.sources.delimited import Part, parts_of

# Those with a place in ROWS and SPECIES. The rest is kept in `extra`: endemic, and captive, which only one table has.
_PLACED = ("observation_id", "binomial_name", "image_path", "subset", "code", "class_id")


@dataclass(frozen=True)
class SnakeClefSource:
    """One table of the contest. NA is the code of Namibia, and ``unknown`` is a code like any other."""

    csv: Path
    files: Files | None  # None: no photograph is here
    venomous: Path | None = None  # venomous_status_list.csv
    names_are_unique: bool = False  # the paths of a table begin in the folder of one size

    @property
    def uri(self) -> str:
        """The table."""
        return str(self.csv.resolve())

    def __iter__(self) -> Iterator[Batch]:
        """Yield which species are venomous, the rows, and the files of the outermost folders that the rows name.

        Raises:
            SourceError: If a table or a column is missing, a split is spelt in no known way, or a species is neither
                venomous nor harmless.
        """
        if self.venomous is not None:
            yield from _venomous(self.venomous)
        folders: set[str] = set()
        for part in parts_of(self.csv, _PLACED, delimiter=","):
            batch = self._batch(part)
            yield batch
            folders |= outermost_folders(batch.rows["file_name"])
        if self.files is not None:
            # A place may hold the photographs of another table too, for which this one does not answer.
            for listed in self.files.listing(None if self.names_are_unique else folders):
                yield Batch(files=listed)

    def _batch(self, part: Part) -> Batch:
        frame = part.frame
        name = frame.select(said("image_path")).select(plain_path("image_path").replace("", None)).to_series()
        # Each source of the training photographs has its own: train-hm of HerpMapper, train of iNaturalist.
        subsets = frame.with_columns(pl.col("subset").str.replace(r"(?is)^\s*train.*$", "train"))
        rows = frame.select(
            "row_number",
            name.alias("image_name"),
            name.alias("file_name"),
            said("observation_id"),
            subsets.select(split_tags("subset", f"column 'subset' of {self.csv.name}", subsets)).to_series(),
            said("code").alias("country_code"),
            extra(column for column in frame.columns if column not in {"row_number", *_PLACED}),
        )
        species = frame.select(
            "row_number",
            said("class_id").alias("species_id"),
            said("binomial_name").alias("scientific_name"),
            said("binomial_name").str.extract(r"^(\S+)").alias("genus"),
        ).drop_nulls("species_id")
        return Batch(rows=with_malformed(rows, part.malformed), species=conform(species, SPECIES))


def _venomous(table: Path) -> Iterator[Batch]:
    """Yield every species of the list.

    Raises:
        SourceError: If a line has no species, or another value than 0 and 1. One that is misread would be scored
            wrongly ever after, so none is passed over.
    """
    for part in parts_of(table, ("class_id", "MIVS"), delimiter=","):
        for _, detail in part.malformed:
            raise SourceError(f"{table}, {detail}")
        status = part.frame.select("row_number", said("class_id"), said("MIVS"))
        wrong = status.filter(pl.col("class_id").is_null() | ~pl.col("MIVS").is_in(["0", "1"]).fill_null(False))
        for line, class_id, value in wrong.iter_rows():
            raise SourceError(
                f"{table}, line {line}: class_id is {class_id!r} and MIVS is {value!r}; "
                f"every class needs its id and 0 (harmless) or 1 (venomous)"
            )
        species = status.select(pl.col("class_id").alias("species_id"), (pl.col("MIVS") == "1").alias("is_venomous"))
        yield Batch(species=conform(species, SPECIES))
