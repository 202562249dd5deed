"""Frames that questions of a review read, as tuples."""

import pyarrow as pa
from lake_rows import Row, frame, rows

from lake.query import answer

NAMES = frame("species_id scientific_name", ("s1", "Poa"), ("s2", "Bellis"), ("s3", "Viola"))


def answers(*given: Row) -> pa.Table:
    """Return answers (observation_id, species_id[, is_answer[, rank]])."""
    return frame("observation_id species_id is_answer rank", *((*one, *(True, 1)[len(one) - 2 :]) for one in given))


def floats(columns: str, *values: Row) -> pa.Table:
    """Return tuples as a table whose last column is a real number."""
    return _last(columns, pa.float64(), values)


def counts(columns: str, *values: Row) -> pa.Table:
    """Return tuples as a table whose last column is a whole number."""
    return _last(columns, pa.int64(), values)


def probabilities(*given: Row) -> pa.Table:
    """Return probabilities (observation_id, species_id, probability)."""
    return floats("observation_id species_id probability", *given)


def found(question: str, frames: dict[str, pa.Table], columns: str | None = None, **params: object) -> list[Row]:
    """Return what a question of a review is answered with; what species are called is known."""
    seen = {"current_species": NAMES, **frames}
    return rows(answer(None, f"review/{question}", frames=seen, **params), columns)


def _last(columns: str, kind: pa.DataType, values: tuple[Row, ...]) -> pa.Table:
    names = columns.split()
    schema = pa.schema([(name, pa.string()) for name in names[:-1]] + [(names[-1], kind)])
    return pa.Table.from_pylist([dict(zip(names, one, strict=True)) for one in values], schema=schema)
