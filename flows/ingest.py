"""Photographs into the lake, from a folder or a table."""

from pathlib import Path

import pyarrow as pa
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, progress, run_task, told
from lake import intake, ledger, query, tables
from lake.errors import CheckFailedError
from lake.sources import Source, SourceIssue, SourceRecord
from lake.sources.folder import FolderSource
from lake.sources.table import TableSource

write_shard = task(name="ingest-shard", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)(intake.write_shard)


class IngestReport(BaseModel):
    """What became of a source: found = kept + already known + set aside."""

    dataset: str
    found: int
    kept: int
    already_known: int
    set_aside: int
    set_aside_by_kind: dict[str, int]
    labels_written: int
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.set_aside_by_kind.items()))
        lines = [
            f"{self.dataset}: found {self.found} = kept {self.kept} + already known {self.already_known} "
            f"+ set aside {self.set_aside}{f' ({kinds})' if kinds else ''}"
        ]
        if self.set_aside:
            lines.append(
                'why: taxalake sql "select image_name, kind, detail from ingest_issues '
                f"where dataset = '{self.dataset}'\""
            )
        if not self.committed:
            lines.append("nothing new: nothing was committed")
        return lines


@flow(name="ingest-folder")
def ingest_folder(
    directory: Path, dataset: str, split_tag: str | None = None, home: Path | None = None
) -> IngestReport:
    """Take in a folder whose sub-folders are species.

    Args:
        directory: The folder.
        dataset: The data set that its photographs belong to.
        split_tag: train, val or test, for all of them.
        home: The place's home.
    """
    return _ingest(FolderSource(Path(directory), split_tag), dataset, settings.load(home=home))


@flow(name="ingest-table")
def ingest_table(
    csv: Path,
    dataset: str,
    image_column: str,
    species_column: str,
    observation_column: str | None = None,
    split_column: str | None = None,
    name_column: str | None = None,
    species_separator: str | None = None,
    root: Path | None = None,
    home: Path | None = None,
) -> IngestReport:
    """Take in a CSV table with one row per photograph.

    Args:
        csv: The table.
        dataset: The data set that its photographs belong to.
        image_column: Paths of the photographs.
        species_column: Species ids; several for a quadrat, if there is a separator.
        observation_column: Ids of what was seen; without it each photograph is an observation.
        split_column: train, val or test.
        name_column: Scientific names, in the order of the ids.
        species_separator: Between the species of a quadrat.
        root: Where the paths begin; by default beside the table.
        home: The place's home.
    """
    source = TableSource(
        Path(csv),
        image_column,
        species_column,
        observation_column,
        split_column,
        name_column,
        species_separator,
        None if root is None else Path(root),
    )
    return _ingest(source, dataset, settings.load(home=home))


def _ingest(source: Source, dataset: str, place: settings.Settings) -> IngestReport:
    """Plan, write shard by shard, and hold the tables against the source."""
    settings.require_name(dataset, "data set")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    items = list(source)
    tables.create_missing(lake)
    held = intake.known(lake, dataset, source.uri)
    total = intake.Count()
    with progress(f"ingest {dataset}", len(items), "images") as advance:
        for shard in intake.shards(items, place.ingest_shard_images):
            total += run_task(
                write_shard, lake, dataset, source.uri, shard, held, run_id, place.threads, on_read=advance
            )
    _check(lake, dataset, items, total)
    if total.committed:
        ledger.record_stage(
            lake,
            run_id,
            "ingest",
            dataset,
            total.kept,
            total.already_known,
            clock.seconds,
            total.byte_count,
            total.kept,
        )
    report = IngestReport(
        dataset=dataset,
        found=total.found,
        kept=total.kept,
        already_known=total.already_known,
        set_aside=total.set_aside,
        set_aside_by_kind=dict(total.set_aside_by_kind),
        labels_written=total.labels,
        snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "image_records", "images")},
        committed=bool(total.committed),
    )
    return told(report)


def _check(lake: tables.Lake, dataset: str, items: list[SourceRecord | SourceIssue], total: intake.Count) -> None:
    """Hold counts and tables against what was found: every name is on record or set aside, every record has its image.

    Raises:
        CheckFailedError: If something was lost on the way.
    """
    rows = sum(item.row_count if isinstance(item, SourceIssue) else 1 for item in items)
    if total.found != rows:
        raise CheckFailedError(
            f"the source of {dataset!r} held {rows} rows and files, and {total.found} are accounted for"
        )
    names = pa.array([item.image_name for item in items], pa.string())
    found = {"found": pa.table({"image_name": names})}
    records, images, issues = tables.latest(lake, "image_records", "images", "ingest_issues")
    query.check(lake, "every_found_name_is_kept_or_set_aside", [records, issues], found, dataset=dataset)
    query.check(lake, "every_record_has_its_image", [records, images], dataset=dataset)
