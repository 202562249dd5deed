"""Take in a source as the flow does, and say what the lake holds of it, but for when and by which run."""

from lake_rows import Row, held

from lake import intake, tables
from lake.schemas import TABLES
from lake.sources import Source
from lake.tables import Lake

_TABLES = ("images", "image_records", "labels", "species", "ingest_issues")
_WHEN_AND_BY_WHOM = {"ingested_at", "labelled_at", "recorded_at", "first_seen_at", "flow_run_id"}


def take_in(lake: Lake, dataset: str, source: Source, items_in_shard: int = 100) -> intake.Count:
    """Take in a source shard by shard, into tables that are there."""
    total = intake.Count()
    # Five questions are spared where the tables were only just created.
    is_new = not any(snapshot.version for snapshot in tables.latest(lake, *_TABLES))
    known = intake.Known({}, set(), {}, set(), set()) if is_new else intake.known(lake, dataset, source.uri)
    for shard in intake.shards(source, items_in_shard):
        total += intake.write_shard(lake, dataset, source.uri, shard, known, "run", threads=2)
    return total


def content(lake: Lake) -> dict[str, list[Row]]:
    """Return every row that an intake writes, sorted."""
    names = {
        table: [name for name in TABLES[table].columns.names if name not in _WHEN_AND_BY_WHOM] for table in _TABLES
    }
    return {table: held(lake, table, " ".join(columns)) for table, columns in names.items()}
