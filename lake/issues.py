"""Notes on photographs of the lake that a later stage could not use. What an intake sets aside, it writes itself."""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from lake import tables
from lake.schemas import TABLES
from lake.tables import Appended, Lake, Snapshot


def note(lake: Lake, dataset: str, kind: str, details: Mapping[str, str], flow_run_id: str) -> Appended:
    """Note why photographs that are on record, by image_name, could not be used; what is noted is not noted again."""

    def plan(snapshot: Snapshot) -> pa.Table:
        noted = (
            tables.scan(lake, snapshot)
            .filter(pl.col("dataset") == dataset, pl.col("kind") == kind)
            .select("image_name")
            .collect()
        )
        known = set(noted["image_name"])
        now = datetime.now(UTC)
        rows = [
            {
                "dataset": dataset,
                "image_name": image_name,
                "kind": kind,
                "detail": detail,
                "row_count": 1,
                "is_set_aside": False,  # its intake has kept it
                "is_on_record": True,
                "attempts": 1,
                "first_seen_at": now,
                "last_seen_at": now,
                "flow_run_id": flow_run_id,
            }
            for image_name, detail in details.items()
            if image_name not in known
        ]
        return pa.Table.from_pylist(rows, schema=TABLES["ingest_issues"].columns)

    return tables.append_planned(lake, "ingest_issues", plan)
