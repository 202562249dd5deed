"""The ledger of ablations: which cells were tried, how they did, and what each answered to which observation."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake import query, tables
from lake.schemas import TABLES
from lake.tables import Lake


def known(lake: Lake, cell_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the cells that have been tried, by their id: the rows of ``ablations``."""
    rows = query.answer(lake, "ablate/known_cells", tables.latest(lake, "ablations"), cell_ids=list(cell_ids))
    return {row["cell_id"]: row for row in rows.to_pylist()}


def record(lake: Lake, cell: Mapping[str, Any], answers: Mapping[str, Sequence[Any]]) -> None:
    """Write what a cell answered, then the cell: a cell that is there is whole.

    Args:
        lake: The place of the tables.
        cell: The row of ``ablations``.
        answers: observation_id, species_id, probability and is_right: a sequence each, one entry per observation.
    """
    names = list(answers)
    if names and len(answers[names[0]]):
        rows = pa.Table.from_pylist(
            [
                {"cell_id": cell["cell_id"], "flow_run_id": cell["flow_run_id"], **dict(zip(names, row, strict=True))}
                for row in zip(*answers.values(), strict=True)
            ],
            schema=TABLES["ablation_answers"].columns,
        )
        tables.append(lake, "ablation_answers", rows)
    row = {**cell, "recorded_at": datetime.now(UTC)}
    tables.append(lake, "ablations", pa.Table.from_pylist([row], schema=TABLES["ablations"].columns))


def is_right(lake: Lake, cell_ids: Sequence[str]) -> dict[str, tuple[list[str], NDArray[np.float64]]]:
    """Return for each cell its observations, in ascending order, and 1 for each that it answered right, else 0."""
    rows = query.answer(lake, "ablate/cell_answers", tables.latest(lake, "ablation_answers"), cell_ids=list(cell_ids))
    cells = rows["cell_id"].to_numpy(zero_copy_only=False)
    names = rows["observation_id"].to_numpy(zero_copy_only=False)
    right = rows["is_right"].to_numpy(zero_copy_only=False).astype(np.float64)
    return {cell: (names[cells == cell].tolist(), right[cells == cell]) for cell in cell_ids}
