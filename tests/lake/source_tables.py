"""Tables as strangers write them, and what a source says of them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from lake.sources import Batch

# Nothing that a table can hold is left out: quotes, line ends, delimiters, NUL, emoji.
CELLS = st.text(st.one_of(st.sampled_from('";,\n\r\0\t🌿é '), st.characters(codec="utf-8")), max_size=12)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]], delimiter: str = ",") -> Path:
    """Write rows under a header and return the table; a column that a row does not name is empty there."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return path


def said(source: Iterable[Batch]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return all rows of a source and all that it says of species."""
    batches = [Batch(), *source]
    return pl.concat([batch.rows for batch in batches]), pl.concat([batch.species for batch in batches])


def said_first(source: Iterable[Batch]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first row of a source and what it says first of a species, by column."""
    rows, species = said(source)
    return rows.row(0, named=True), species.row(0, named=True)
