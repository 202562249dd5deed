"""The ledgers of the lake: what each stage did and cost, what retraining decided, which classes a map holds."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from lake import query, tables
from lake.schemas import TABLES
from lake.tables import Appended, Lake


def record_stage(
    lake: Lake,
    flow_run_id: str,
    stage: str,
    dataset: str,
    rows: int,
    reused: int,
    seconds: float,
    byte_count: int = 0,
    image_count: int | None = None,
    split: Mapping[str, float] | None = None,
) -> Appended:
    """Write one row of ``stage_runs``. A stage that wrote nothing has no row: a rerun commits nothing.

    ``split`` says where the seconds went, as far as a stage measures it: decode, forward, write.
    """
    row = {
        "flow_run_id": flow_run_id,
        "stage": stage,
        "dataset": dataset,
        "rows": rows,
        "reused": reused,
        "seconds": seconds,
        **{f"{part}_seconds": spent for part, spent in (split or {}).items()},
        "bytes": byte_count,
        "images_per_second": None if image_count is None or seconds <= 0 else image_count / seconds,
        "finished_at": datetime.now(UTC),
    }
    return _append(lake, "stage_runs", [row])


def record_class_map(
    lake: Lake, class_map_id: str, species_ids: Sequence[str], train_counts: Mapping[str, int], flow_run_id: str
) -> Appended:
    """Write a class map: one row per class index. A map that is known is not written again.

    Species that were counted and have no index, as they had too few photographs, follow as dropped.
    """
    now = datetime.now(UTC)
    dropped = sorted(train_counts.keys() - set(species_ids))
    return _append(
        lake,
        "class_maps",
        [
            {
                "class_map_id": class_map_id,
                "class_index": index,
                "species_id": species_id,
                "train_count": train_counts.get(species_id, 0),
                "is_dropped": index >= len(species_ids),
                "recorded_at": now,
                "flow_run_id": flow_run_id,
            }
            for index, species_id in enumerate([*species_ids, *dropped])
        ],
    )


def record_retrain(lake: Lake, row: Mapping[str, object]) -> Appended:
    """Write one row of ``retrain_decisions``."""
    return _append(lake, "retrain_decisions", [{**row, "decided_at": datetime.now(UTC)}])


def retrain_reason(lake: Lake, retrain_id: str) -> str | None:
    """Return the reason of one row of ``retrain_decisions``, None where there is no such row."""
    (seen,) = tables.latest(lake, "retrain_decisions")
    found = query.answer(lake, "retrain/reason_of", [seen], retrain_id=retrain_id)["reason"].to_pylist()
    return found[0] if found else None


def _append(lake: Lake, table: str, rows: Sequence[Mapping[str, object]]) -> Appended:
    return tables.append(lake, table, pa.Table.from_pylist(list(rows), schema=TABLES[table].columns))
