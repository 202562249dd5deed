"""Photographs into the lake: from folders, archives, tables, contests' and portals' formats, and the web."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import intake_figures, settings
from flows.orchestration import Clock, flow_run_id, progress, run_overlapping, say, told
from lake import intake, ledger, query, tables
from lake.errors import LakeError, SourceError
from lake.files import File, Files
from lake.files.archive import archive_files
from lake.files.folder import FolderFiles
from lake.files.web import Web
from lake.sources import Source
from lake.sources.darwincore import DarwinCoreSource
from lake.sources.folder import FolderSource
from lake.sources.inaturalist import INaturalistSource
from lake.sources.plantclef import PlantClefQuadrats, PlantClefSource
from lake.sources.snakeclef import SnakeClefSource
from lake.sources.table import TableSource
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


class RetryReport(BaseModel):
    """What became of each source of a data set that was taken up again."""

    dataset: str
    sources: list[IngestReport]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.sources:
            return [f"{self.dataset}: nothing is set aside that could be taken up again"]
        return [line for report in self.sources for line in (report.source, *report.lines())]


@dataclass(frozen=True)
class _Terms:
    """How a source is taken in, whatever its format."""

    max_loss: float | None = None
    read_all: bool = False
    retried_kinds: tuple[str, ...] = ()


def _folder(directory: str, split_tag: str | None, follow_links: bool) -> Source:
    return FolderSource(_files(directory, follow_links), split_tag)


def _table(
    csv: str, root: str | None, has_files: bool, follow_links: bool, images_by_name: bool, **columns: str | None
) -> Source:
    files = None if root is None and not has_files else _files(root or str(Path(csv).parent), follow_links)
    return TableSource(Path(csv), files, names_are_unique=images_by_name, **columns)  # type: ignore[arg-type]


def _plantclef(csv: str, root: str | None) -> Source:
    return PlantClefSource(Path(csv), None if root is None else _files(root))


def _plantclef_quadrats(directory: str) -> Source:
    return PlantClefQuadrats(_files(directory))


def _snakeclef(csv: str, root: str, venomous: str | None) -> Source:
    return SnakeClefSource(Path(csv), _files(root), None if venomous is None else Path(venomous))


def _inaturalist(csv: str, root: str | None) -> Source:
    return INaturalistSource(Path(csv), None if root is None else _files(root))


def _darwincore(archive: str, root: str | None) -> Source:
    return DarwinCoreSource(Path(archive), None if root is None else _files(root))


# By the name under which `ingest_sources` remembers how a source was read.
_FORMATS: Mapping[str, Callable[..., Source]] = {
    "folder": _folder,
    "table": _table,
    "plantclef": _plantclef,
    "plantclef-quadrats": _plantclef_quadrats,
    "snakeclef": _snakeclef,
    "inaturalist": _inaturalist,
    "darwincore": _darwincore,
}


@flow(name="ingest-folder")
def ingest_folder(
    directory: Path,
    dataset: str,
    split_tag: str | None = None,
    follow_links: bool = False,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in a folder, or a .tar or .zip, whose sub-folders are species.

    Args:
        directory: The folder or archive.
        dataset: The data set that its photographs belong to.
        split_tag: train, val or test, for all of them.
        follow_links: Whether links that lead out of the folder are followed.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"directory": _absolute(directory), "split_tag": split_tag, "follow_links": follow_links}
    return _ingest("folder", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-table")
def ingest_table(
    csv: Path,
    dataset: str,
    image_column: str | None = None,
    species_column: str | None = None,
    observation_column: str | None = None,
    split_column: str | None = None,
    name_column: str | None = None,
    species_separator: str | None = None,
    url_column: str | None = None,
    root: Path | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    images_by_name: bool = False,
    follow_links: bool = False,
    max_loss: float | None = None,
    reread: bool = False,
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
        url_column: Addresses of the photographs that have no file.
        root: Folder, .tar or .zip where the paths begin; by default the table's folder.
        delimiter: Between columns; by default found by the header.
        encoding: Of the table's text.
        images_by_name: Whether the file's name alone tells the photograph, in whatever folder it lies.
        follow_links: Whether links that lead out of the root are followed.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {
        "csv": _absolute(csv),
        "root": _absolute(root),
        "has_files": image_column is not None or url_column is None,
        "follow_links": follow_links,
        "images_by_name": images_by_name,
        "image_column": image_column,
        "species_column": species_column,
        "observation_column": observation_column,
        "split_column": split_column,
        "name_column": name_column,
        "species_separator": species_separator,
        "url_column": url_column,
        "delimiter": delimiter,
        "encoding": encoding,
    }
    return _ingest("table", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-plantclef")
def ingest_plantclef(
    csv: Path,
    dataset: str,
    root: Path | None = None,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in PlantCLEF's table of single plants.

    Args:
        csv: The table, separated by semicolons.
        dataset: The data set that its photographs belong to.
        root: Folder, .tar or .zip of the photographs, found by their names; without it they are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"csv": _absolute(csv), "root": _absolute(root)}
    return _ingest("plantclef", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-plantclef-quadrats")
def ingest_plantclef_quadrats(
    directory: Path,
    dataset: str,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in PlantCLEF's quadrats; day, base quadrat and transect are read from their names.

    Args:
        directory: The folder, .tar or .zip of the photographs.
        dataset: The data set that they belong to.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    return _ingest("plantclef-quadrats", {"directory": _absolute(directory)}, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-snakeclef")
def ingest_snakeclef(
    csv: Path,
    dataset: str,
    root: Path | None = None,
    venomous: Path | None = None,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in one of SnakeCLEF's tables: a training table or the validation table.

    Args:
        csv: The table.
        dataset: The data set that its photographs belong to.
        root: Folder, .tar or .zip where its paths begin; by default the table's folder.
        venomous: venomous_status_list.csv, which says which species are venomous.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    where = _absolute(csv.parent if root is None else root)
    options = {"csv": _absolute(csv), "root": where, "venomous": _absolute(venomous)}
    return _ingest("snakeclef", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-inaturalist")
def ingest_inaturalist(
    csv: Path,
    dataset: str,
    root: Path | None = None,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in an export of iNaturalist's observations.

    Args:
        csv: The export.
        dataset: The data set that its photographs belong to.
        root: Folder, .tar or .zip of photographs that were fetched before; without it they are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"csv": _absolute(csv), "root": _absolute(root)}
    return _ingest("inaturalist", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-darwincore")
def ingest_darwincore(
    archive: Path,
    dataset: str,
    root: Path | None = None,
    max_loss: float | None = None,
    reread: bool = False,
    home: Path | None = None,
) -> IngestReport:
    """Take in a Darwin Core Archive, as GBIF gives it.

    Args:
        archive: The .zip, or the folder that it was unpacked to.
        dataset: The data set that its photographs belong to.
        root: Folder, .tar or .zip of photographs that were fetched before; without it they are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"archive": _absolute(archive), "root": _absolute(root)}
    return _ingest("darwincore", options, dataset, _Terms(max_loss, reread), home)


@flow(name="ingest-retry")
def ingest_retry(
    dataset: str, kinds: list[str] | None = None, max_loss: float | None = None, home: Path | None = None
) -> RetryReport:
    """Take up what was set aside of a data set, from the sources that it came from.

    Args:
        dataset: The data set.
        kinds: Reasons for which it was set aside; all by default.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        home: The place's home.
    """
    lake = settings.load(home=home).lake
    waiting = query.answer(
        lake,
        "audit/waiting_sources",
        tables.latest(lake, "ingest_sources", "ingest_issues", "image_records"),
        dataset=dataset,
    ).to_pylist()
    asked = [row for row in waiting if kinds is None or set(kinds) & set(row["kinds"])]
    if kinds is not None and not asked:
        there = ", ".join(sorted({kind for row in waiting for kind in row["kinds"]})) or "nothing"
        raise SourceError(f"of {dataset!r} nothing is set aside as {', '.join(kinds)}; there is {there}")
    reports: list[IngestReport] = []
    failures: list[str] = []
    for number, row in enumerate(asked, start=1):
        terms = _Terms(max_loss, retried_kinds=tuple(kinds or row["kinds"]))
        name = "ingest" if number == 1 else f"ingest-{number}"
        try:
            reports.append(_ingest(row["format"], tables.parsed(row["options"]), dataset, terms, home, name))
        except LakeError as error:
            # The others are not to wait for a table that is gone, or for one that loses too much.
            failures.append(str(error))
    if failures:
        done = "".join(f"\n{line}" for report in reports for line in (report.source, *report.lines()))
        raise SourceError("\n".join(failures) + done)
    report = RetryReport(dataset=dataset, sources=reports, committed=any(each.committed for each in reports))
    return told(report)


def read_shard(reader: intake.Reader, shard: Sequence[intake.PendingFile]) -> intake.ReadCount:
    """Read one shard of files and commit what they hold."""
    return reader.read(shard)


read_task = task(name="ingest-shard", retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE)(read_shard)


def _ingest(
    form: str,
    options: Mapping[str, Any],
    dataset: str,
    terms: _Terms,
    home: Path | None,
    stage_name: str = "ingest",
) -> IngestReport:
    """Stage, reconcile, read shard by shard, reconcile again, commit, and hold the tables against the source."""
    place = settings.load(home=home, max_loss=terms.max_loss)
    settings.require_name(dataset, "data set")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    source = _apart_from(place.home, _FORMATS[form](**options))
    tables.create_missing(lake)
    with tempfile.TemporaryDirectory(prefix="taxalake-") as folder:
        staged = stage(source, Path(folder))
        with intake.Intake(lake, dataset, staged, run_id) as work:
            pending = work.find_pending(_retried(terms, place), terms.read_all)
            count = work.reconcile()
            work.require_little_loss(count, place.max_loss)
            read, seconds = intake.ReadCount(), 0.0
            if pending:
                say(f"{plain(source.uri)}: {count.found:,} rows and files, {pending:,} to read")
                reading = Clock()
                read = _read(place, dataset, source, work, pending, run_id)
                seconds = reading.seconds
                count = work.reconcile()
                work.require_little_loss(count, place.max_loss)
            # First: what is set aside by a run that is killed from here on can be taken up again.
            remembered = intake.record_source(lake, dataset, source.uri, form, options, run_id)
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
    report = IngestReport(
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
    return told(report)


def _apart_from(home: Path, source: Source) -> Source:
    """Let a source not look into the home where that lies among the photographs, as it does by default."""
    if not isinstance(source.files, FolderFiles):
        return source
    return replace(source, files=replace(source.files, apart=home))  # type: ignore[type-var]


def _retried(terms: _Terms, place: settings.Settings) -> tuple[str, ...]:
    """Return the reasons that are looked into again; what was refused before a setting allowed it is one of them."""
    return (*terms.retried_kinds, *(("address_refused",) if place.allow_private_addresses else ()))


def _draw(
    place: settings.Settings, dataset: str, work: intake.Intake, count: intake.Count, files: Files | None
) -> list[Path]:
    """Draw what came in. The photographs are on record by now: a figure that fails is a line, not a failed intake."""
    try:
        return intake_figures.draw(place, dataset, work, count, files)
    except (LakeError, OSError) as error:
        say(f"what came in could not be drawn: {error}")
        return []


def _read(
    place: settings.Settings, dataset: str, source: Source, work: intake.Intake, pending: int, run_id: str
) -> intake.ReadCount:
    """Read what is pending, one shard decoding while another one is written."""
    limits = intake.Limits(place.ingest_shard_images, inline_bytes=place.inline_bytes)
    total = intake.ReadCount()
    with (
        closing(Web(place.allow_private_addresses, place.fetch_per_host)) as web,
        # Whoever waits for an answer of the web needs no processor.
        ThreadPoolExecutor(_FETCHING if work.fetches else place.threads) as pool,
        progress(f"ingest {dataset}", pending, "images") as advance,
    ):

        def bytes_of(file: File) -> bytes:
            return web.read(file) if file.is_on_web or source.files is None else source.files.read(file)

        reader = intake.Reader(place.lake, bytes_of, pool, limits, work.planned_on, run_id, advance)
        for count in run_overlapping(read_task, ((reader, shard) for shard in work.shards(limits))):
            total += count
    return total


def _files(root: str, follow_links: bool = False) -> Files:
    path = Path(root)
    return archive_files(path) if path.is_file() else FolderFiles(path, follow_links)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
