"""What the world outside is told by flow runs: that a table holds new rows."""

import logging
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from prefect.context import FlowRunContext
from prefect.events import emit_event

from lake.tables import Appended, Lake, Snapshot

DATASET = "taxalake.dataset"
_COLUMN = "dataset"


def committed(table: str) -> str:
    """Return the name of the event that a table holds new rows."""
    return f"taxalake.{table}.committed"


@dataclass(frozen=True)
class Commit:
    """New rows of a table, counted. Another process can be told it."""

    snapshot: Snapshot
    row_count: int
    by_dataset: dict[str, int] | None  # None: rows of this table belong to no data set

    @classmethod
    def of(cls, appended: Appended, rows: pa.Table) -> Self:
        """Count the rows that were appended."""
        counts = None
        if _COLUMN in rows.column_names:
            counts = {each["values"]: each["counts"] for each in pc.value_counts(rows[_COLUMN]).to_pylist()}
        return cls(appended.snapshot, rows.num_rows, counts)


def tell_commit(lake: Lake, appended: Appended, rows: pa.Table) -> None:
    """Emit that rows were appended, as ``tell`` does."""
    if FlowRunContext.get() is not None:
        tell(lake, Commit.of(appended, rows))


def tell(lake: Lake, commit: Commit) -> None:
    """Emit that rows were appended: for each data set among them, or once where rows of a table belong to none.

    Outside of a flow run nobody is told. What cannot be told is logged and stops nothing: the rows are in the table,
    and whatever follows new data also looks for it on a schedule.
    """
    if FlowRunContext.get() is None:
        return
    table, version = commit.snapshot.table, str(commit.snapshot.version)
    resource = {"prefect.resource.name": str(commit.snapshot), "taxalake.table": table, "taxalake.version": version}
    try:
        # By a thread of Prefect's, which has the time to wait for a server.
        if commit.by_dataset is None:
            told = {**resource, "prefect.resource.id": f"taxalake.table.{table}"}
            emit_event(committed(table), told, payload={"rows": commit.row_count, "lake": lake.root})
            return
        for dataset, count in commit.by_dataset.items():
            told = {**resource, "prefect.resource.id": f"taxalake.table.{table}.{dataset}", DATASET: dataset}
            emit_event(committed(table), told, payload={"rows": count, "lake": lake.root})
    except Exception as error:
        logging.getLogger(__name__).warning("nobody could be told of %s: %s", commit.snapshot, error)
