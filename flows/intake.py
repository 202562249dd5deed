"""How a source is taken in, whatever its format: the stage that every flow of ``flows.ingest`` runs."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import intake_figures, settings
from flows.orchestration import Clock, flow_run_id, progress, run_overlapping, say
from lake import ledger, tables
from lake.errors import LakeError
from lake.files import File, Files
from lake.files.folder import FolderFiles
from lake.files.web import Web
from lake.intake import Count, Intake, record_source
from lake.reading import Limits, PendingFile, ReadCount, Reader
from lake.sources import Source
from lake.staging import stage
from lake.text import plain

_FETCHING = 16  # photographs asked for at once, of all hosts


class IngestReport(BaseModel):
    """What became of a source: found = kept + already known + set aside."""

    dataset: str
    source: str
    found: int
    kept: int
    already_known: int
    set_aside: int
    set_aside_by_kind: dict[str, int]
    files_read: int
    images_per_second: float | None  # of the files that were read
    labels_written: int
    figures: list[str]
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.set_aside_by_kind.items()))
        lines = [
            f"{self.dataset}: found {self.found:,} = kept {self.kept:,} + already known {self.already_known:,} "
            f"+ set aside {self.set_aside:,}{f' ({kinds})' if kinds else ''}"
        ]
        if self.images_per_second:
            lines.append(f"read {self.files_read:,} files, {self.images_per_second:.0f} images/s")
        if self.labels_written:
            lines.append(f"labels: {self.labels_written:,} written")
        if self.set_aside:
            lines.append(
                'why: taxalake sql "select image_name, kind, detail from ingest_issues '
                f"where dataset = '{self.dataset}' and is_set_aside and row_count > 0\""
            )
        lines += [f"figure: {figure}" for figure in self.figures]
        if not self.committed:
            lines.append("nothing new: nothing was committed")
        return lines


@dataclass(frozen=True)
class Terms:
    """How a source is taken in, whatever its format."""

    max_loss: float | None = None
    read_all: bool = False
    retried_kinds: tuple[str, ...] = ()
    longest_pause_seconds: int = 0  # between two tries of a file that was refused for a reason that may have passed


def read_shard(reader: Reader, shard: Sequence[PendingFile]) -> ReadCount:
    """Read one shard of files and commit what they hold."""
    return reader.read(shard)


read_task = task(name="ingest-shard", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)(read_shard)


def take_in(
    form: str,
    make: Callable[..., Source],
    options: Mapping[str, Any],
    dataset: str,
    terms: Terms,
    home: Path | None,
    stage_name: str = "ingest",
) -> IngestReport:
    """Stage, reconcile, read shard by shard, reconcile again, commit, and hold the tables against the source.

    Args:
        form: The name of its format, remembered with the options, so that the source can be made again.
        make: Makes the source of the options.
        options: How it is read; what JSON knows.
        dataset: The data set that its photographs belong to.
        terms: How much may be lost, and what is read again.
        home: The place's home.
        stage_name: Of its row in the cost ledger; another one for each source of a flow run.
    """
    place = settings.load(home=home, max_loss=terms.max_loss)
    settings.require_name(dataset, "data set")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    source = _apart_from(place.home, make(**options))
    tables.create_missing(lake)
    with tempfile.TemporaryDirectory(prefix="taxalake-") as folder:
        staged = stage(source, Path(folder))
        with Intake(lake, dataset, staged, run_id) as work:
            pending = work.find_pending(_retried(terms, place), terms.read_all, terms.longest_pause_seconds)
            count = work.reconcile()
            work.require_little_loss(count, place.max_loss)
            read, seconds = ReadCount(), 0.0
            if pending:
                say(f"{plain(source.uri)}: {count.found:,} rows and files, {pending:,} to read")
                reading = Clock()
                read = _read(place, dataset, source, work, pending, run_id)
                seconds = reading.seconds
                count = work.reconcile()
                work.require_little_loss(count, place.max_loss)
            # First: what is set aside by a run that is killed from here on can be taken up again.
            remembered = record_source(lake, dataset, source.uri, form, options, run_id)
            count, written = work.commit(count)
            work.check()
            committed = bool(written or read.files or remembered.row_count)
            if committed:
                ledger.record_stage(
                    lake,
                    run_id,
                    stage_name,
                    dataset,
                    count.kept,
                    count.already_known,
                    clock.seconds,
                    read.byte_count,
                    read.files,
                )
            figures = _draw(place, dataset, work, count, source.files) if written else []
    return IngestReport(
        dataset=dataset,
        source=source.uri,
        found=count.found,
        kept=count.kept,
        already_known=count.already_known,
        set_aside=count.set_aside,
        set_aside_by_kind=dict(count.set_aside_by_kind),
        files_read=read.files,
        images_per_second=read.files / seconds if pending else None,
        labels_written=sum(done.row_count for done in written if done.snapshot.table == "labels"),
        figures=[str(figure) for figure in figures],
        snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "image_records", "images")},
        committed=committed,
    )


def _apart_from(home: Path, source: Source) -> Source:
    """Let a source not look into the home where that lies among the photographs, as it does by default."""
    if not isinstance(source.files, FolderFiles):
        return source
    return replace(source, files=replace(source.files, apart=home))  # type: ignore[type-var]


def _retried(terms: Terms, place: settings.Settings) -> tuple[str, ...]:
    """Return the reasons that are looked into again; what was refused before a setting allowed it is one of them."""
    return (*terms.retried_kinds, *(("address_refused",) if place.allow_private_addresses else ()))


def _draw(place: settings.Settings, dataset: str, work: Intake, count: Count, files: Files | None) -> list[Path]:
    """Draw what came in. The photographs are on record by now: a figure that fails is a line, not a failed intake."""
    try:
        return intake_figures.draw(place, dataset, work, count, files)
    except (LakeError, OSError) as error:
        say(f"what came in could not be drawn: {error}")
        return []


def _read(place: settings.Settings, dataset: str, source: Source, work: Intake, pending: int, run_id: str) -> ReadCount:
    """Read what is pending, one shard decoding while another one is written."""
    limits = Limits(place.ingest_shard_images, inline_bytes=place.inline_bytes)
    total = ReadCount()
    with (
        closing(Web(place.allow_private_addresses, place.fetch_per_host)) as web,
        # Whoever waits for an answer of the web needs no processor.
        ThreadPoolExecutor(_FETCHING if work.fetches else place.threads) as pool,
        progress(f"ingest {dataset}", pending, "images") as advance,
    ):

        def bytes_of(file: File) -> bytes:
            return web.read(file) if file.is_on_web or source.files is None else source.files.read(file)

        reader = Reader(place.lake, bytes_of, pool, limits, work.planned_on, run_id, advance)
        for count in run_overlapping(read_task, ((reader, shard) for shard in work.shards(limits))):
            total += count
    return total
