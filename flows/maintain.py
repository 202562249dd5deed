"""Upkeep of a place: tables small and quick, and every version that a registered model names still there."""

import json
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.answers import in_bytes
from flows.orchestration import progress, told
from lake import maintenance, tables
from lake.errors import LakeError
from lake.schemas import TABLES
from modeling.addresses import without_password

LITTLE_ROOM = 0.1  # of the disk that is left, under which people are warned


class TableUpkeep(BaseModel):
    """What was done for a table, or would be."""

    files_before: int  # that its newest version is made of
    files: int
    bytes_before: int  # of all that lies there
    bytes: int
    merged: int  # small files that are fewer now
    removed: int  # files that no kept version needs
    spared: dict[int, list[str]]  # version -> the models that name it
    lost: dict[int, list[str]]  # those that were gone before


class MaintainReport(BaseModel):
    """What was tidied up, what is kept and why, and how much room there is."""

    home: str
    keep_days: int
    dry_run: bool
    tables: dict[str, TableUpkeep]
    orphans: int  # large photographs that no row names
    orphan_bytes: int
    disk_free_bytes: int
    disk_free_share: float
    problems: dict[str, str]  # table -> why it could not be tended
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.tables and not self.problems:
            return [f"there are no tables in {self.home} yet: nothing to tend"]
        done = {name: table for name, table in self.tables.items() if table.merged or table.removed}
        would = "would be " if self.dry_run else ""
        lines = [
            f"{name}: {in_bytes(table.bytes_before)} in {table.files_before} files"
            f"{'' if self.dry_run else f' -> {in_bytes(table.bytes)} in {table.files}'}; "
            f"small files {would}merged away: {table.merged}, old ones {would}removed: {table.removed}"
            for name, table in done.items()
        ]
        if not done:
            lines.append("nothing to merge and nothing to remove")
        lines += self._kept()
        if self.orphans:
            lines.append(
                f"photographs in files that no row names: {self.orphans}, {in_bytes(self.orphan_bytes)}, {would}removed"
            )
        lines += [f"PROBLEM: {why}" for why in self.problems.values()]
        whole = sum(table.bytes for table in self.tables.values())
        lines.append(f"the tables hold {in_bytes(whole)}; {in_bytes(self.disk_free_bytes)} of the disk are left")
        if self.disk_free_share < LITTLE_ROOM:
            lines.append(
                f"WARNING: only {self.disk_free_share:.1%} of the disk are left: what is removed is "
                f"{self.keep_days} days old, --keep-days 1 removes more"
            )
        return lines

    def _kept(self) -> list[str]:
        spared = sorted(
            {version for table in self.tables.values() for names in table.spared.values() for version in names}
        )
        lines = [f"every version of the last {self.keep_days} days is kept"]
        if spared:
            lines[0] += f", and those that models were made from: {_few(spared)}"
        lines += [
            f"GONE: {name}@{version}, which {_few(models)} was made from, could not be read any more"
            for name, table in self.tables.items()
            for version, models in table.lost.items()
        ]
        return lines


@flow(name="maintain")
def maintain(keep_days: int = 7, dry_run: bool = False, home: Path | None = None) -> MaintainReport:
    """Merge small files, remove what no kept version needs, and say how much room there is. No row is touched.

    Args:
        keep_days: For how many days every version of a table stays readable. Versions that registered models were
            made from always do.
        dry_run: Only say what would be done.
        home: The place's home.

    Raises:
        LakeError: If a table could not be tended, after the others were.
    """
    place = settings.load(home=home)
    lake, keep = place.lake, timedelta(days=keep_days)
    if keep < maintenance.LEAST_KEEP:
        raise LakeError(
            f"{keep_days} days were asked for: younger files may belong to a writer or reader at work, so one day is "
            f"the least"
        )
    # Before anything is removed: where nobody can say what models were made from, nothing is.
    needed = _needed(place)
    tended: dict[str, TableUpkeep] = {}
    problems: dict[str, str] = {}
    committed = False
    with progress("maintain", len(TABLES), "tables") as advance:
        for name in TABLES:
            if tables.exists(lake, name):
                models = needed.get(name, {})
                try:
                    done = maintenance.tend(lake, name, keep, models, dry_run)
                except LakeError as error:
                    problems[name] = str(error)
                else:
                    committed |= done.committed
                    tended[name] = _told_of(done, models)
            advance(1)
    orphans, orphan_bytes = maintenance.sweep_blobs(lake, keep, dry_run) if tables.exists(lake, "images") else (0, 0)
    disk = shutil.disk_usage(lake.root if lake.is_local and tended else _nearest(place.home))
    report = told(
        MaintainReport(
            home=str(place.home.resolve()),
            keep_days=keep_days,
            dry_run=dry_run,
            tables=tended,
            orphans=orphans,
            orphan_bytes=orphan_bytes,
            disk_free_bytes=disk.free,
            disk_free_share=disk.free / disk.total,
            problems=problems,
            committed=committed,
        )
    )
    if problems:
        raise LakeError("; ".join(problems.values()))
    return report


def _needed(place: settings.Settings) -> dict[str, dict[int, list[str]]]:
    """Return for each table the versions that registered models were made from, with the models.

    Raises:
        LakeError: If the tables tell of trained models, and nobody has ever trained where the registry is.
    """
    from modeling.registry import Registry

    needed: dict[str, dict[int, list[str]]] = {}
    registries = [Registry(address, place.artifacts) for address in place.registry_uris]
    for registry in registries:
        for model in (model for name in registry.names() for model in registry.versions(name)):
            for table, version in json.loads(model.tags.get("snapshots", "{}")).items():
                needed.setdefault(table, {}).setdefault(version, []).append(model.model_version)
    if tables.exists(place.lake, "class_maps") and all(registry.is_unused for registry in registries):
        (maps,) = tables.latest(place.lake, "class_maps")
        if tables.row_count(place.lake, maps):
            where = " and ".join(map(without_password, place.registry_uris)) or f"in {place.home}"
            raise LakeError(
                f"the tables of {place.lake.root} tell of trained models, and there is no registry {where} that knows "
                f"any, to say which versions they need: say where it is (TAXALAKE_TRACKING_URI, TAXALAKE_POSTGRES)"
            )
    return needed


def _nearest(folder: Path) -> Path:
    """Return the folder, or where it is not there the nearest one around it: a look makes none."""
    return next(one for one in (folder.resolve(), *folder.resolve().parents) if one.is_dir())


def _told_of(done: maintenance.Upkeep, models: Mapping[int, list[str]]) -> TableUpkeep:
    return TableUpkeep(
        files_before=done.before.files,
        files=done.after.files,
        bytes_before=done.before.byte_count,
        bytes=done.after.byte_count,
        merged=done.merged,
        removed=done.removed,
        spared={version: models[version] for version in done.spared},
        lost={version: models[version] for version in done.lost},
    )


def _few(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
