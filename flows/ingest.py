"""Photographs into the lake: from folders, archives, tables, contests' and portals' formats, and the web."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.intake import IngestReport, Terms, take_in
from flows.orchestration import told
from lake import query, tables
from lake.errors import LakeError, SourceError
from lake.files import Files
from lake.files.archive import archive_files
from lake.files.folder import FolderFiles
from lake.sources import Source
from lake.sources.darwincore import DarwinCoreSource
from lake.sources.folder import FolderSource
from lake.sources.inaturalist import INaturalistSource
from lake.sources.plantclef import PlantClefQuadrats, PlantClefSource
from lake.sources.snakeclef import SnakeClefSource
from lake.sources.table import TableSource


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
    return _ingest("folder", options, dataset, Terms(max_loss, reread), home)


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
    return _ingest("table", options, dataset, Terms(max_loss, reread), home)


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
        root: Folder, .tar or .zip of the photographs, found by their names; those it lacks are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"csv": _absolute(csv), "root": _absolute(root)}
    return _ingest("plantclef", options, dataset, Terms(max_loss, reread), home)


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
    return _ingest("plantclef-quadrats", {"directory": _absolute(directory)}, dataset, Terms(max_loss, reread), home)


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
    return _ingest("snakeclef", options, dataset, Terms(max_loss, reread), home)


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
        root: Folder, .tar or .zip of photographs that were fetched before; those it lacks are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"csv": _absolute(csv), "root": _absolute(root)}
    return _ingest("inaturalist", options, dataset, Terms(max_loss, reread), home)


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
        root: Folder, .tar or .zip of photographs that were fetched before; those it lacks are fetched.
        max_loss: Share (0 to 1) of what is new that may be set aside; more stops the flow.
        reread: Whether files whose place, size and time are known are read again.
        home: The place's home.
    """
    options = {"archive": _absolute(archive), "root": _absolute(root)}
    return _ingest("darwincore", options, dataset, Terms(max_loss, reread), home)


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
        terms = Terms(max_loss, retried_kinds=tuple(kinds or row["kinds"]))
        name = "ingest" if number == 1 else f"ingest-{number}"
        try:
            reports.append(told(ingest_again({**row, "dataset": dataset}, terms, home, name)))
        except LakeError as error:
            # The others are not to wait for a table that is gone, or for one that loses too much.
            failures.append(str(error))
    if failures:
        done = "".join(f"\n{line}" for report in reports for line in (report.source, *report.lines()))
        raise SourceError("\n".join(failures) + done)
    report = RetryReport(dataset=dataset, sources=reports, committed=any(each.committed for each in reports))
    return told(report)


def ingest_again(
    source: Mapping[str, Any], terms: Terms, home: Path | None, stage_name: str = "ingest"
) -> IngestReport:
    """Take in a source as it is remembered. Whether that is worth telling the caller knows.

    Args:
        source: A row of ``ingest_sources``: dataset, format, options.
        terms: How much may be lost, and what is read again.
        home: The place's home.
        stage_name: Of its row in the cost ledger; another one for each source of a flow run.

    Raises:
        SourceError: If it is not where it was, or not as it was described.
        LossError: If too much of what is new would be set aside.
    """
    form = source["format"]
    return take_in(form, _FORMATS[form], json.loads(source["options"]), source["dataset"], terms, home, stage_name)


def _ingest(form: str, options: Mapping[str, Any], dataset: str, terms: Terms, home: Path | None) -> IngestReport:
    return told(take_in(form, _FORMATS[form], options, dataset, terms, home))


def _files(root: str, follow_links: bool = False) -> Files:
    path = Path(root)
    return archive_files(path) if path.is_file() else FolderFiles(path, follow_links)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
