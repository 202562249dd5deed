"""How species change: renamed, merged, split. Taken in once, respected by all that is trained or scored later."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa

from lake import query, tables
from lake.errors import SourceError
from lake.schemas import TABLES
from lake.sources import said
from lake.sources.delimited import DelimitedText
from lake.tables import Appended, Lake, Snapshot

KINDS = ("rename", "merge", "split")
_COLUMNS = ("old_species_id", "new_species_id", "kind")


def read_changes(csv: Path) -> pl.DataFrame:
    """Return the changes that a table names: old_species_id, new_species_id, kind; a split has a row per new species.

    Raises:
        SourceError: If the table or a column is missing, or a row is no change.
    """
    if not csv.is_file():
        raise SourceError(f"there is no table {csv}")
    text = DelimitedText(str(csv), lambda: csv.open("rb"))
    columns = text.columns(_COLUMNS[0])
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise SourceError(f"{csv} has no column {', '.join(missing)}; its columns are {', '.join(columns)}")
    parts = list(text.parts(_COLUMNS[0]))
    for line, detail in (problem for part in parts for problem in part.malformed):
        raise SourceError(f"{csv}, line {line}: {detail}")
    empty = pl.DataFrame(schema={"row_number": pl.Int64, **dict.fromkeys(columns, pl.String)})
    rows = pl.concat([empty, *(part.frame for part in parts)])
    changes = rows.select("row_number", *(said(name) for name in _COLUMNS))
    for row in changes.iter_rows(named=True):
        values = [row[name] for name in _COLUMNS]
        if None in values or row["kind"] not in KINDS or row["old_species_id"] == row["new_species_id"]:
            raise SourceError(
                f"{csv}, line {row['row_number']}: {values} is no change; it takes an old id, another new id, and one "
                f"of {', '.join(KINDS)}"
            )
    return changes.select(_COLUMNS).unique(maintain_order=True)


def append_changes(lake: Lake, csv: Path, changes: pl.DataFrame, flow_run_id: str) -> Appended:
    """Append the changes that say something else than what holds; of a species the later word replaces the earlier.

    Raises:
        SourceError: If, with what holds, a species would turn into several without a split, or into itself.
    """

    def plan(snapshot: Snapshot) -> pa.Table:
        held = pl.DataFrame(query.answer(lake, "labels/current_changes", [snapshot]))
        known, now = _by_species(held), _by_species(changes)
        fresh = {old for old, becomes in now.items() if known.get(old) != becomes}
        new = changes.filter(pl.col("old_species_id").is_in(fresh))
        _require_one_meaning(pl.concat([held.filter(~pl.col("old_species_id").is_in(fresh)), new]))
        constants: Mapping[str, object] = {
            "source": str(csv.resolve()),
            "recorded_at": tables.later(tables.scan(lake, snapshot).select("recorded_at").collect()["recorded_at"]),
            "flow_run_id": flow_run_id,
        }
        rows = [{**row, **constants} for row in new.iter_rows(named=True)]
        return pa.Table.from_pylist(rows, schema=TABLES["taxon_changes"].columns)

    return tables.append_planned(lake, "taxon_changes", plan)


def _by_species(changes: pl.DataFrame) -> dict[str, set[tuple[str, str]]]:
    """Return what each old species becomes, and how."""
    found: dict[str, set[tuple[str, str]]] = {}
    for old, new, kind in changes.select(_COLUMNS).iter_rows():
        found.setdefault(old, set()).add((new, kind))
    return found


def _require_one_meaning(changes: pl.DataFrame) -> None:
    """Refuse changes that contradict each other or go in a circle."""
    several = (
        changes.group_by("old_species_id")
        .agg(pl.len().alias("count"), (pl.col("kind") == "split").all().alias("is_split"), "new_species_id")
        .sort("old_species_id")
    )
    for row in several.iter_rows(named=True):
        if (row["count"] > 1) != row["is_split"]:
            what = "a split into one" if row["is_split"] else "renamed or merged into several, which is a split"
            raise SourceError(
                f"the species {row['old_species_id']!r} would be {what}: {', '.join(sorted(row['new_species_id']))}"
            )
    frames = {"current_changes": changes.to_arrow()}
    circles = query.answer(None, "audit/taxonomic_circles", frames=frames)["species_id"].to_pylist()
    if circles:
        raise SourceError(f"these species would turn into themselves, by way of others: {', '.join(circles)}")
