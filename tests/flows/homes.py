"""Looking at a home from outside, and at what a command said."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lake import tables
from lake.schemas import TABLES
from lake.sources.synthetic import Drawn
from lake.tables import Lake

REPOSITORY = Path(__file__).parents[2]
VECTORS = ("cls", "mean_patch", "dct", "dct_published")
# Columns that say by whom a row was written; two runs that do the same differ in these and in the times alone.
INCIDENTAL = {"flow_run_id"}


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def plants(flora: Drawn, image_column: str = "image") -> list[str]:
    """The words that take in a flora's single plants."""
    return [
        *("ingest", "table", str(flora.plants_csv), "--dataset", "plants", "--image-column", image_column),
        *("--species-column", "species_id", "--observation-column", "observation"),
        *("--split-column", "split", "--name-column", "scientific_name"),
    ]


def quadrats(flora: Drawn) -> list[str]:
    """The words that take in a flora's quadrats."""
    return [
        *("ingest", "table", str(flora.quadrats_csv), "--dataset", "quadrats", "--image-column", "image"),
        *("--species-column", "species_ids", "--observation-column", "quadrat", "--species-separator", "|"),
    ]


def versions(home: Path) -> dict[str, int]:
    """The version of every table of a home."""
    return {snapshot.table: snapshot.version for snapshot in tables.latest(Lake(str(home / "lake")), *TABLES)}


def content(home: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table without the columns that say when and by whom they were written, in key order."""
    lake = Lake(str(home / "lake"))
    contract = TABLES[table]
    times = {field.name for field in contract.columns if str(field.type).startswith("timestamp")}
    rows = tables.open_table(lake, table).to_pyarrow_table().to_pylist()
    kept = [{key: value for key, value in row.items() if key not in times | INCIDENTAL} for row in rows]
    return sorted(kept, key=lambda row: [str(row[key]) for key in contract.key if key in row])


def differences(home: Path, other: Path, *names: str, within: float = 1e-5) -> list[str]:
    """What differs between tables of two homes, row by row; vectors of float32 may differ by rounding."""
    found = []
    for name in names:
        ours, theirs = content(home, name), content(other, name)
        if len(ours) != len(theirs):
            found.append(f"{name}: {len(ours)} rows and {len(theirs)}")
            continue
        for number, (one, another) in enumerate(zip(ours, theirs, strict=True)):
            for column in sorted(one.keys() | another.keys()):
                alike = _alike_vectors if column in VECTORS else _equal
                if not alike(one.get(column), another.get(column), within):
                    found.append(f"{name} row {number}, {column}: {one.get(column)} and {another.get(column)}")
    return found


def _equal(one: Any, another: Any, _: float) -> bool:
    return bool(one == another)


def _alike_vectors(one: Any, another: Any, within: float) -> bool:
    if one is None or another is None:
        return one is another
    expected = np.array(another)
    return bool(np.allclose(one, expected, rtol=0, atol=within * max(1.0, np.abs(expected).max())))
