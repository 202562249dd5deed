"""What a stage after the intake could not use: photographs of the lake, and rows of its own tables.

What an intake sets aside, it writes itself.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from lake import query, tables
from lake.schemas import TABLES
from lake.sources import SPECIES
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


def set_aside(lake: Lake, dataset: str, source_uri: str, rows: pl.DataFrame, flow_run_id: str) -> Appended:
    """Record the rows of a table that could not be used, and that those are mended which it no longer holds.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        source_uri: The table and what it was read for; what is said here is held against its own last word.
        rows: All that are set aside: row_number, image_name, kind, detail, and is_on_record: whether there is a
            photograph of this name.
        flow_run_id: The flow run that writes.

    Returns:
        What was appended: nothing where it is on record as it is.
    """
    outcomes = rows.with_columns(outcome=pl.lit("set_aside"), location=pl.lit(None, pl.String), attempts=pl.lit(0))
    frames = {"outcomes": outcomes.to_arrow(), "source_species": SPECIES.to_frame().to_arrow()}

    def plan(snapshot: Snapshot) -> pa.Table:
        params = {"dataset": dataset, "source_uri": source_uri}
        found = query.answer(lake, "intake/new_issues", [snapshot], frames, now=datetime.now(UTC), **params)
        said = {name: pl.lit(text) for name, text in {**params, "flow_run_id": flow_run_id}.items()}
        return pl.DataFrame(found).with_columns(**said).to_arrow()

    return tables.append_planned(lake, "ingest_issues", plan)
