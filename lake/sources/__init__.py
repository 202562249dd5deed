"""What is said of photographs. A source reads one outside format; it opens no photograph and writes nothing.

A source yields batches of three frames: rows (what it says of one photograph each), species (what it says of species,
by the row that says it) and files (what lies where its photographs lie). Which row has which file is the intake's
question, not the source's.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from lake.errors import SourceError
from lake.files import LISTING, Files

ROWS = pl.Schema(
    {
        "row_number": pl.Int64(),  # unique in the source: the line of a table, the place in a listing
        "image_name": pl.String(),  # null: the row names no photograph
        "file_name": pl.String(),  # path of its file inside the place of the photographs; null: none
        "url": pl.String(),  # where it can be fetched if there is no file
        "observation_id": pl.String(),  # null: the photograph is an observation of its own
        "split_tag": pl.String(),  # train, val or test
        "organ": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "country_code": pl.String(),
        "base_quadrat": pl.String(),
        "transect": pl.String(),
        "observed_on": pl.Date(),
        "license": pl.String(),
        "author": pl.String(),
        "extra": pl.String(),  # the rest of the row, a JSON object of strings
        "kind": pl.String(),  # why the source itself sets the row aside; null: it does not
        "detail": pl.String(),
    }
)
SPECIES = pl.Schema(
    {
        "row_number": pl.Int64(),  # the row whose observation shows it; null: said of the species alone
        "species_id": pl.String(),
        "scientific_name": pl.String(),
        "genus": pl.String(),
        "family": pl.String(),
        "is_venomous": pl.Boolean(),
        "gbif_id": pl.String(),
    }
)

# The first of at least two words, but for the sign of a hybrid; a single word may be a family's name.
_GENUS = r"^(?:×\s*|[xX]\s+)?(\S+)\s+\S"
# Common spellings, each of which a source may use.
SPLIT_TAGS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}


@dataclass(frozen=True)
class Batch:
    """A part of what a source says. Frames of the schemas above."""

    rows: pl.DataFrame = field(default_factory=ROWS.to_frame)
    species: pl.DataFrame = field(default_factory=SPECIES.to_frame)
    files: pl.DataFrame = field(default_factory=LISTING.to_frame)


class Source(Protocol):
    """What intake needs of a source."""

    @property
    def uri(self) -> str:
        """The place, for people."""

    @property
    def files(self) -> Files | None:
        """Where its photographs lie; None where all of them are on the web."""

    @property
    def names_are_unique(self) -> bool:
        """True where a file's name alone, without its folders, tells the photograph."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield all that there is, in a fixed order; iterating twice gives the same.

        Raises:
            SourceError: If the source is not as it was described.
        """


def conform(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return a frame with the columns and types of a schema; columns that it lacks are null."""
    given = [
        pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    ]
    return frame.select(given)


def said(column: str) -> pl.Expr:
    """Return a text column without outer space, null where nothing is left."""
    stripped = pl.col(column).str.strip_chars()
    return pl.when(stripped.str.len_bytes() > 0).then(stripped).otherwise(None).alias(column)


def plain_path(column: str) -> pl.Expr:
    r"""Return paths in one spelling, composed: ``./a//b.jpg`` and ``a\b.jpg`` are ``a/b.jpg``."""
    return (
        pl.col(column)
        .str.normalize("NFC")
        .str.replace_all("\\", "/", literal=True)
        .str.replace_all(r"/(?:\./|/)+", "/")
        .str.replace(r"^(?:\./)+", "")
    )


def number(column: str, smallest: float, largest: float) -> pl.Expr:
    """Return a text column as numbers, null where it is none or lies outside of the bounds."""
    value = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(value.is_between(smallest, largest)).then(value).otherwise(None)


def day(column: str) -> pl.Expr:
    """Return a text column as days, null where it does not begin with an ISO date."""
    return pl.col(column).str.strip_chars().str.head(10).str.to_date("%Y-%m-%d", strict=False)


def extra(columns: Iterable[str]) -> pl.Expr:
    """Return text columns as one JSON object of strings, keys sorted, empty values left out; null where all are."""
    members = []
    for name in sorted(columns):
        encoded = pl.struct(pl.col(name).alias("k")).struct.json_encode()
        value = encoded.str.slice(5).str.head(-1)  # what stands in {"k":...}
        key = pl.lit(_json_text(name) + ":")
        members.append(pl.when(pl.col(name).str.len_bytes() > 0).then(pl.concat_str(key, value)).otherwise(None))
    if not members:
        return pl.lit(None, pl.String).alias("extra")
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    whole = pl.concat_str(pl.lit("{"), joined, pl.lit("}"))
    return pl.when(joined.str.len_bytes() > 0).then(whole).otherwise(None).alias("extra")


def split_tag(text: str, where: str, spellings: Mapping[str, str] = SPLIT_TAGS) -> str:
    """Return train, val or test for any common spelling.

    Raises:
        SourceError: If it is none. A split that is misread would spoil every score after it.
    """
    try:
        return spellings[text.strip().lower()]
    except KeyError:
        raise SourceError(
            f"{where} says {text!r} for a split; understood are {', '.join(sorted(spellings))} in any case"
        ) from None


def split_tags(column: str, where: str, frame: pl.DataFrame, spellings: Mapping[str, str] = SPLIT_TAGS) -> pl.Expr:
    """Return train, val or test for any common spelling in a column; an empty cell says nothing.

    Raises:
        SourceError: If one is none.
    """
    for text in frame.select(pl.col(column).str.strip_chars().unique().sort()).to_series():
        if text:
            split_tag(text, where, spellings)
    spelt = pl.col(column).str.strip_chars().str.to_lowercase()
    return spelt.replace_strict(spellings, default=None, return_dtype=pl.String).alias("split_tag")


def with_malformed(rows: pl.DataFrame, malformed: Sequence[tuple[int, str]]) -> pl.DataFrame:
    """Return rows of a table after those that have another number of fields than its header, each with the reason."""
    schema = {"row_number": pl.Int64, "detail": pl.String}
    refused = pl.DataFrame(malformed, schema=schema, orient="row").with_columns(kind=pl.lit("row_malformed"))
    return pl.concat([conform(refused, ROWS), conform(rows, ROWS)])


def unread(column: str, bound: float) -> pl.Expr:
    """Return what a column says where it is no number within ± a bound, so that it is not lost; "" elsewhere."""
    return pl.when(number(column, -bound, bound).is_null()).then(pl.col(column)).otherwise(pl.lit("")).alias(column)


def unread_day(column: str) -> pl.Expr:
    """Return what a column says beyond a day, or instead of one, so that it is not lost; "" elsewhere."""
    is_whole = day(column).is_not_null() & (pl.col(column).str.strip_chars().str.len_chars() == len("2020-01-31"))
    return pl.when(is_whole).then(pl.lit("")).otherwise(column).alias(column)


def genus_in_name(column: str) -> pl.Expr:
    """Return the genus of a scientific name of at least two words, hybrids' too; null elsewhere."""
    return pl.col(column).str.strip_chars().str.extract(_GENUS)


def outermost_folders(names: pl.Series) -> set[str]:
    """Return the outermost folders that paths lie in, "" for those that lie in none."""
    return set(names.drop_nulls().str.extract("(?s)^(.*?)/").fill_null("").unique())


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
