"""Take in a source as the flow does, and say what the lake holds of it, but for when and by which run."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lake_rows import Row, held

from lake import intake, tables
from lake.files import File
from lake.files.web import Web
from lake.reading import Limits, ReadCount, Reader
from lake.schemas import TABLES
from lake.sources import Source
from lake.staging import stage
from lake.tables import Lake

_TABLES = ("images", "file_reads", "ingest_sources", "image_records", "labels", "species", "ingest_issues")
_WHEN_AND_BY_WHOM = {
    *("ingested_at", "labelled_at", "recorded_at", "first_seen_at", "last_seen_at", "read_at", "flow_run_id"),
}


@dataclass(frozen=True)
class Taken:
    """What became of a source."""

    count: intake.Count
    read: ReadCount
    committed: list[tables.Appended]

    @property
    def set_aside(self) -> dict[str, int]:
        return dict(self.count.set_aside_by_kind)

    @property
    def tables(self) -> list[str]:
        return [done.snapshot.table for done in self.committed]


def take_in(
    lake: Lake,
    dataset: str,
    source: Source,
    images_in_shard: int = 100,
    most_loss: float = 1.0,
    retried: Sequence[str] = (),
    read_all: bool = False,
    inline_bytes: int = 4 << 20,
    web: Web | None = None,
    at_once: int = 1,
) -> Taken:
    """Take in a source, into tables that are there."""
    limits = Limits(images_in_shard, inline_bytes=inline_bytes)

    def read(file: File) -> bytes:
        return web.read(file) if file.is_on_web else source.files.read(file)

    with opened(lake, source, dataset) as work, ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(at_once) as readers:
        pending = work.find_pending(retried, read_all)
        count = work.reconcile()
        work.require_little_loss(count, most_loss)
        total = ReadCount()
        if pending:
            reader = Reader(lake, read, pool, limits, work.planned_on, "run")
            for read_count in readers.map(reader.read, work.shards(limits)):
                total += read_count
            count = work.reconcile()
            work.require_little_loss(count, most_loss)
        remembered = intake.record_source(lake, dataset, source.uri, type(source).__name__, {}, "run")
        count, committed = work.commit(count)
        work.check()
    return Taken(count, total, [remembered, *committed] if remembered.row_count else committed)


@contextmanager
def opened(lake: Lake, source: Source, dataset: str = "d") -> Iterator[intake.Intake]:
    """Stage a source and begin to take it in."""
    with (
        tempfile.TemporaryDirectory() as folder,
        intake.Intake(lake, dataset, stage(source, Path(folder)), "run") as work,
    ):
        yield work


def content(lake: Lake) -> dict[str, list[Row]]:
    """Return every row that an intake writes, sorted."""
    names = {
        table: [name for name in TABLES[table].columns.names if name not in _WHEN_AND_BY_WHOM] for table in _TABLES
    }
    return {table: held(lake, table, " ".join(columns)) for table, columns in names.items()}
