"""Rows of tables, written as tuples and read as tuples."""

from datetime import UTC, datetime

import pyarrow as pa

from lake import query, tables
from lake.files import LISTING
from lake.schemas import TABLES
from lake.sources import ROWS, SPECIES
from lake.tables import Lake

# What a source says, as it is staged for questions; of Arrow's two types of text the one of the tables.
_STAGED = {
    name: pa.schema(
        (field.name, pa.string() if field.type == pa.large_string() else field.type)
        for field in schema.to_frame().to_arrow().schema
    )
    for name, schema in {"source_rows": ROWS, "source_species": SPECIES, "source_files": LISTING}.items()
}
# The first table that has a column says its type: `bytes` are those of images before they are counted elsewhere.
_TYPES = {
    "is_known_issue": pa.bool_(),
    **{field.name: field.type for schema in _STAGED.values() for field in schema},
    **{field.name: field.type for table in reversed(TABLES.values()) for field in table.columns},
}
_FILLERS = {pa.string(): "", pa.binary(): b"", pa.bool_(): False, pa.list_(pa.float32()): [0.0]}

Row = tuple[object, ...]


def frame(columns: str, *values: Row) -> pa.Table:
    """Return tuples as an Arrow table, its columns typed as in the contracts; a name that is in none is text."""
    names = columns.split()
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in values], schema=schema)


def filled(table: str, columns: str, *values: Row) -> pa.Table:
    """Return whole rows of a table of the lake: columns that are not said are empty, and times are day 1."""
    said = frame(columns, *values)
    whole = []
    for field in TABLES[table].columns:
        if field.name in said.column_names:
            whole.append(said[field.name].cast(field.type))
        elif field.nullable:
            whole.append(pa.nulls(said.num_rows, field.type))
        else:
            filler = day(1) if pa.types.is_timestamp(field.type) else _FILLERS.get(field.type, 0)
            whole.append(pa.array([filler] * said.num_rows, field.type))
    return pa.table(whole, schema=TABLES[table].columns)


def staged(name: str, columns: str, *values: Row) -> pa.Table:
    """Return whole rows of what a source says; columns that are not given are null."""
    given = frame(columns, *values)
    whole = [
        given[field.name] if field.name in given.column_names else pa.nulls(given.num_rows, field.type)
        for field in _STAGED[name]
    ]
    return pa.table(whole, schema=_STAGED[name])


def rows(table: pa.Table, columns: str | None = None) -> list[Row]:
    """Return an Arrow table, or some of its columns, as tuples in its order."""
    chosen = table if columns is None else table.select(columns.split())
    return list(zip(*chosen.to_pydict().values(), strict=True))


def held(lake: Lake, table: str, columns: str) -> list[Row]:
    """Return what a table of the lake holds now, sorted."""
    (snapshot,) = tables.latest(lake, table)
    return sorted(tables.scan(lake, snapshot).select(columns.split()).collect().rows(), key=repr)


def offenders(rule: str, frames: dict[str, pa.Table], **params: object) -> list[Row]:
    """Return what one rule of ``lake/checks`` finds in the frames."""
    return rows(query.answer(None, f"../checks/assert_{rule}", frames=frames, **params))


def day(number: int) -> datetime:
    """Return a day; later numbers are later."""
    return datetime(2026, 1, number, tzinfo=UTC)
