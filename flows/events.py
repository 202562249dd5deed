"""What the world outside is told by flow runs: that a table holds new rows."""

import logging

import pyarrow as pa
import pyarrow.compute as pc
from prefect.context import FlowRunContext
from prefect.events import emit_event

from lake.tables import Appended, Lake

DATASET = "taxalake.dataset"
_COLUMN = "dataset"


def committed(table: str) -> str:
    """Return the name of the event that a table holds new rows."""
    return f"taxalake.{table}.committed"


def tell_commit(lake: Lake, appended: Appended, rows: pa.Table) -> None:
    """Emit that rows were appended: for each data set among them, or once where rows of a table belong to none.

    Outside of a flow run nobody is told. What cannot be told is logged and stops nothing: the rows are in the table,
    and whatever follows new data also looks for it on a schedule.
    """
    if FlowRunContext.get() is None:
        return
    table, version = appended.snapshot.table, str(appended.snapshot.version)
    resource = {"prefect.resource.name": str(appended.snapshot), "taxalake.table": table, "taxalake.version": version}
    try:
        # By a thread of Prefect's, which has the time to wait for a server.
        if _COLUMN not in rows.column_names:
            told = {**resource, "prefect.resource.id": f"taxalake.table.{table}"}
            emit_event(committed(table), told, payload={"rows": rows.num_rows, "lake": lake.root})
            return
        for counted in pc.value_counts(rows[_COLUMN]).to_pylist():
            dataset = counted["values"]
            told = {**resource, "prefect.resource.id": f"taxalake.table.{table}.{dataset}", DATASET: dataset}
            emit_event(committed(table), told, payload={"rows": counted["counts"], "lake": lake.root})
    except Exception as error:
        logging.getLogger(__name__).warning("nobody could be told of %s: %s", appended.snapshot, error)
