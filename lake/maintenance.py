"""Tables kept small and quick: small files merged, files that no kept version needs removed, logs cut short.

Rows are never touched: a table says the same before and after, at its newest version and at every one that is kept.
Knows no model; which versions are kept for long is said by who calls. Each step is safe to repeat, beside writers and
readers, and after a kill at any moment.
"""

import json
import random
import re
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from lake import blobs, tables
from lake.errors import LakeError
from lake.schemas import TABLES, Table
from lake.tables import Lake

LEAST_KEEP = timedelta(days=1)
TARGET_BYTES = 128 << 20  # of a file: a reader opens few of them, and a merge holds one in memory
# Fewer small files cost a reader nothing, and one that grows a little every day would be written anew every day.
FEWEST_FILES = 8
_COMMITS = 10  # after which a checkpoint spares readers more than it costs
_ATTEMPTS = 10
# All others take files away: the version before them needs what the newest one does not.
_ONLY_ADD = frozenset({"CREATE TABLE", "WRITE", "SET TBLPROPERTIES", "VACUUM START", "VACUUM END"})
_MERGE = "taxalake.merge"  # the property that says which merge came last
_UNFINISHED = re.compile(r".+#\d+")  # what the storage layer writes to before a file has its name


@dataclass(frozen=True)
class Size:
    """What a table takes up."""

    files: int  # that its newest version is made of
    byte_count: int  # of all that lies there, older versions and the log too; on an object store of those files alone


@dataclass(frozen=True)
class Upkeep:
    """What was done for a table; of a dry run, what would be."""

    before: Size
    after: Size
    merged: int  # small files that are fewer now
    removed: int  # files that no kept version needs, and those of killed writes
    spared: tuple[int, ...]  # versions that were asked for and read as ever
    lost: tuple[int, ...]  # versions that were asked for and were gone before
    committed: bool


def tend(lake: Lake, name: str, keep: timedelta, spared: Collection[int] = (), dry_run: bool = False) -> Upkeep:
    """Remove what no kept version of a table needs, merge its small files and write a checkpoint, where each is due.

    Args:
        lake: The place of the tables.
        name: The table.
        keep: For how long every version stays readable, and a file that no version names is taken for one that
            somebody is about to commit.
        spared: Versions that stay readable whatever their age.
        dry_run: Only look.

    Raises:
        LakeError: If ``keep`` is less than a day, the table cannot be read, or it cannot be written to. What was done
            until then is whole.
    """
    if keep < LEAST_KEEP:
        raise LakeError(
            f"files younger than {keep} were to be removed from {name!r}, and those of less than {LEAST_KEEP} may "
            f"belong to a writer or reader at work: keep a day at least"
        )
    before = size_of(lake, name)
    handle = tables.open_table(lake, name)
    began = handle.version()
    readable = {version for version in spared if _is_readable(lake, name, version)}
    try:
        if not dry_run:
            _keep_log(lake, name)
        removed = _vacuum(lake, name, keep, readable, dry_run) + _sweep(lake, name, keep, dry_run)
        merged = _merge(lake, TABLES[name], dry_run)
        if not dry_run:
            _checkpoint(lake, name)
    except (DeltaError, OSError) as error:
        raise LakeError(
            f"{name!r} in {lake.root} cannot be tended: {error}. Nothing of it is lost; when there is room and the "
            f"right to write, the same command goes on."
        ) from error
    return Upkeep(
        before=before,
        after=size_of(lake, name),
        merged=merged,
        removed=removed,
        spared=tuple(sorted(readable)),
        lost=tuple(sorted(set(spared) - readable)),
        committed=tables.open_table(lake, name).version() != began,
    )


def size_of(lake: Lake, name: str) -> Size:
    """Return what a table takes up."""
    files = _files(tables.open_table(lake, name))
    if lake.is_local:
        return Size(files.num_rows, sum(size for _, size, _ in _on_disk(Path(lake.uri(name)))))
    return Size(files.num_rows, sum(files["size_bytes"].to_pylist()))


def sweep_blobs(lake: Lake, keep: timedelta, dry_run: bool = False) -> tuple[int, int]:
    """Remove large photographs that no row names, which killed intakes have left; return how many and their bytes.

    Args:
        lake: The place of the tables.
        keep: Younger ones may belong to an intake that is about to name them.
        dry_run: Only look.
    """
    if not lake.is_local:
        return 0, 0
    old = time.time() - keep.total_seconds()
    found = blobs.orphans(lake, old)
    if not dry_run:
        found = [orphan for orphan in found if blobs.remove_orphan(lake, orphan, old)]
    return len(found), sum(orphan.byte_count for orphan in found)


def _files(handle: DeltaTable) -> pa.Table:
    """Return the files of a version: path, size_bytes, and partition.COLUMN of a partitioned table."""
    return pa.table(handle.get_add_actions(flatten=True))


def _on_disk(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Yield each file below a folder with its bytes and when it was written (seconds since 1970)."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a writer beside has given it its name
            if path.is_file():
                state = path.stat()
                yield path, state.st_size, state.st_mtime


def _is_readable(lake: Lake, name: str, version: int) -> bool:
    """Say whether a version can be opened and all of its files are there."""
    try:
        uris = tables.open_table(lake, name, version).file_uris()
    except LakeError:
        return False
    return not lake.is_local or all(Path(uri).is_file() for uri in uris)


def _keep_log(lake: Lake, name: str) -> None:
    handle = tables.open_table(lake, name)
    if handle.metadata().configuration.items() >= tables.WHOLE_LOG.items():
        return
    with suppress(CommitFailedError):  # by a writer beside; the next run does it
        handle.alter.set_table_properties(tables.WHOLE_LOG)


def _vacuum(lake: Lake, name: str, keep: timedelta, spared: Collection[int], dry_run: bool) -> int:
    """Remove the files that neither the newest version, nor a young one, nor a spared one needs."""
    handle = tables.open_table(lake, name)
    # Said, as the log forgets after a week when files were taken away, and then goes by when they were written.
    young = {version for version in _young(handle, keep) if _is_readable(lake, name, version)}
    asked = {
        "retention_hours": int(keep.total_seconds() // 3600),
        "enforce_retention_duration": False,
        "full": True,  # else those of killed writes stay for ever
        "keep_versions": sorted({*young, *spared}) or None,
    }
    # Asked first: two commits would say that nothing was removed.
    found = handle.vacuum(dry_run=True, **asked)
    if found and not dry_run:
        handle.vacuum(dry_run=False, **asked)
    return len(found)


def _young(handle: DeltaTable, keep: timedelta) -> set[int]:
    """Return the versions that have been the newest within a time and hold files that a later one has not."""
    since = 1000 * (time.time() - keep.total_seconds())
    return {
        commit["version"] - 1
        for commit in handle.history()
        if commit.get("operation") not in _ONLY_ADD and commit.get("timestamp", since) >= since and commit["version"]
    }


def _sweep(lake: Lake, name: str, keep: timedelta, dry_run: bool) -> int:
    """Remove what killed writes have left before it had a name, which no vacuum sees."""
    if not lake.is_local:
        return 0
    old = time.time() - keep.total_seconds()
    found = [
        path
        for path, _, written in _on_disk(Path(lake.uri(name)))
        if _UNFINISHED.fullmatch(path.name) and written < old
    ]
    for path in found if not dry_run else ():
        path.unlink(missing_ok=True)
    return len(found)


def _merge(lake: Lake, table: Table, dry_run: bool) -> int:
    """Merge small files, partition by partition; return how many there are fewer, or would be."""
    planned = _small(tables.open_table(lake, table.name), table)
    if dry_run:
        return sum(count - 1 for count in planned.values())
    fewer = 0
    for partition in planned:
        # What was merged may be small enough to be merged again: until the next run would find nothing.
        while partition in _small(tables.open_table(lake, table.name), table):
            done = _merge_partition(lake, table, partition)
            fewer += done
            if not done:
                break
    return fewer


def _small(handle: DeltaTable, table: Table) -> dict[tuple[str, ...], int]:
    """Return the partitions that have enough small files to be worth it, and how many."""
    files = _files(handle)
    columns = [files[f"partition.{column}"].to_pylist() for column in table.partition_by]
    partitions = list(zip(*columns, strict=True)) if columns else [()] * files.num_rows
    counts: dict[tuple[str, ...], int] = {}
    for partition, size in zip(partitions, files["size_bytes"].to_pylist(), strict=True):
        if 2 * size < TARGET_BYTES:  # so that two of them make one
            counts[partition] = counts.get(partition, 0) + 1
    return {partition: count for partition, count in sorted(counts.items()) if count >= FEWEST_FILES}


def _merge_partition(lake: Lake, table: Table, partition: tuple[str, ...]) -> int:
    filters = [(column, "=", value) for column, value in zip(table.partition_by, partition, strict=True)]
    for attempt in range(_ATTEMPTS):
        handle = tables.open_table(lake, table.name)
        try:
            # Two merges of the same files would both be taken, and every row be there twice. A change of the table's
            # properties makes a merge fail that was planned before it, whoever is at it and wherever the table lies.
            handle.alter.set_table_properties({_MERGE: uuid.uuid4().hex}, raise_if_not_exists=False)
            done = handle.optimize.compact(
                partition_filters=filters or None,
                target_size=TARGET_BYTES,
                max_concurrent_tasks=1,  # others work on this machine
                writer_properties=table.writer,
            )
        except CommitFailedError:
            time.sleep(random.uniform(0, 0.2 * (attempt + 1)))
            continue
        return int(done["numFilesRemoved"] - done["numFilesAdded"])
    raise LakeError(f"{table.name!r} in {lake.root} was committed to by others {_ATTEMPTS} times in a row; run again")


def _checkpoint(lake: Lake, name: str) -> None:
    """Write the state of a table into one file where readers have many commits to go through since the last one."""
    handle = tables.open_table(lake, name)
    last = Path(lake.uri(name)) / "_delta_log" / "_last_checkpoint"
    at = 0
    if lake.is_local:
        with suppress(FileNotFoundError):
            at = json.loads(last.read_text(encoding="utf-8"))["version"]
    if handle.version() - at >= _COMMITS:
        handle.create_checkpoint()
