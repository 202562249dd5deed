"""Delta tables: create, append exactly once, read at a version.

Nothing here knows what a table is about; the contracts stand in ``lake.schemas``. A table is never overwritten
and a row never updated: what changes is said by a later row.
"""

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from lake.errors import LakeError, RowsRefusedError, TableMissingError
from lake.schemas import TABLES, Table

# Every append of a table carries this application id with the next number, so that of two appends that were
# planned on the same version one is refused and looks again at what the other wrote. Appends to Delta do not
# conflict by themselves: without it two writers of the same rows would both succeed.
_SEQUENCE = "taxalake.append"
_ATTEMPTS = 20
# Without it every hundredth commit takes along those of more than 30 days ago, and with them every version that a model
# names: the files would be there and nobody could say which of them belong to it.
WHOLE_LOG = {"delta.enableExpiredLogCleanup": "false"}
# deltalake quotes all others as in a URL, and its readers then look for files of the quoted name; ``=`` in a folder
# is taken for a partition, ``*`` for a pattern.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()+,;:@-]*")


@dataclass(frozen=True)
class Lake:
    """Where the tables live: a folder, or an object store's URI with its options."""

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a folder that the readers of its tables would not find again."""
        place = Path(self.root).absolute().as_posix() if self.is_local else ""
        if not _PLAIN_PATH.fullmatch(place):
            odd = " ".join(sorted({repr(sign) for sign in place if not _PLAIN_PATH.fullmatch(sign)}))
            raise LakeError(f"a lake cannot lie in {place}: its path may not hold {odd}")

    def uri(self, table: str) -> str:
        """Return the place of one table."""
        return f"{self.root.rstrip('/')}/{table}"

    @property
    def is_local(self) -> bool:
        """True where the tables are files of this machine."""
        return "://" not in self.root


@dataclass(frozen=True, order=True)
class Snapshot:
    """A table at a version. Version 0 is a version."""

    table: str
    version: int

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"


@dataclass(frozen=True)
class Appended:
    """What an append did."""

    snapshot: Snapshot
    row_count: int  # rows that were new; 0 means that nothing was committed


# Called after each commit with the lake, what was appended, and the rows in the order of the contract.
Listener = Callable[[Lake, Appended, pa.Table], None]
_listeners: list[Listener] = []


def tell_of_commits(listener: Listener) -> None:
    """Have a function called after each commit of this process, by the thread that has made it; once if told twice.

    The rows are in the table by then: what it raises reaches whoever has appended them and undoes nothing.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def create_missing(lake: Lake) -> list[str]:
    """Create the tables that the lake does not hold yet and return their names.

    Creation is this step and no other: no append and no reader ever creates a table, so that a lake that cannot
    be read is never mistaken for an empty one.

    Raises:
        LakeError: If the files of a table are there and its log is not, or a table has other columns than it should.
    """
    created = []
    for table in TABLES.values():
        if exists(lake, table.name):
            _require_contract(lake, table)
            continue
        # Asked again after looking: another process may have created the table and written to it meanwhile.
        if _holds_files(lake, table.name) and not exists(lake, table.name):
            raise LakeError(f"the table {table.name!r} in {lake.root} has files and no log: its _delta_log is lost")
        try:
            DeltaTable.create(
                lake.uri(table.name),
                schema=Schema.from_arrow(table.columns),
                mode="error",
                partition_by=list(table.partition_by),
                name=table.name,
                description=f"One row per {table.grain}.",
                configuration=WHOLE_LOG,
                storage_options=dict(lake.storage_options),
            )
        except DeltaError:
            # Another process may have been faster; anything else still fails here.
            if not exists(lake, table.name):
                raise
            continue
        created.append(table.name)
    return created


def exists(lake: Lake, name: str) -> bool:
    """Say whether the lake holds the table, without reading it."""
    return bool(DeltaTable.is_deltatable(lake.uri(name), storage_options=dict(lake.storage_options)))


def open_table(lake: Lake, name: str, version: int | None = None) -> DeltaTable:
    """Open one table, at its newest version or at a given one.

    Raises:
        TableMissingError: If the lake holds no such table.
        LakeError: If the table is there and cannot be read.
    """
    _contract(name)
    try:
        return DeltaTable(lake.uri(name), version=version, storage_options=dict(lake.storage_options))
    except TableNotFoundError as error:
        raise TableMissingError(
            f"there is no table {name!r} in {lake.root}. `taxalake ingest` makes the tables; "
            f"is --home (TAXALAKE_HOME) the one that you meant?"
        ) from error
    except DeltaError as error:
        at = "" if version is None else f" at version {version}"
        raise LakeError(f"the table {name!r} in {lake.root} cannot be read{at}: {error}") from error


def latest(lake: Lake, *names: str) -> tuple[Snapshot, ...]:
    """Return the newest version of each table, in the order asked."""
    return tuple(Snapshot(name, open_table(lake, name).version()) for name in names)


def row_count(lake: Lake, snapshot: Snapshot) -> int:
    """Return the number of rows of a snapshot, from its log where that says it."""
    return int(open_table(lake, snapshot.table, snapshot.version).count())


def scan(lake: Lake, snapshot: Snapshot) -> pl.LazyFrame:
    """Return a table at a version as a lazy frame: filters and columns are pushed down to the files."""
    return pl.scan_delta(open_table(lake, snapshot.table, snapshot.version))


class KnownKeys:
    """The keys of a table, kept up to date by reading only the files that others have added.

    For a process that appends again and again: looking at the whole table before each append would cost more with
    every one. About 200 bytes a key that is held.
    """

    def __init__(self, lake: Lake, name: str, absent_in: Snapshot | None = None) -> None:
        """Read the keys that there are.

        Args:
            lake: The place of the tables.
            name: The table.
            absent_in: The snapshot in which none of the keys that will be asked for is, and which will not be asked
                for twice: then only what others add later has to be known.
        """
        self._columns = list(_contract(name).key)
        # Their values stand in the files' paths, and are text whatever they look like.
        self._partitions = dict.fromkeys(_contract(name).partition_by, pl.String())
        self._options = dict(lake.storage_options)
        self._files: set[str] = set()
        self._keys: set[tuple[object, ...]] = set()
        self._holds_own = absent_in is None
        if absent_in is None:
            self.refresh(open_table(lake, name))
        else:
            self._files.update(open_table(lake, name, absent_in.version).file_uris())

    def __contains__(self, key: tuple[object, ...]) -> bool:
        return key in self._keys

    def refresh(self, handle: DeltaTable) -> None:
        """Read the keys of the files that are new to this process."""
        added = [uri for uri in handle.file_uris() if uri not in self._files]
        if added:
            keys = (
                pl.scan_parquet(
                    added,
                    storage_options=self._options,
                    hive_partitioning=bool(self._partitions),
                    hive_schema=self._partitions or None,
                )
                .select(self._columns)
                .collect()
            )
            self._keys.update(keys.iter_rows())
            self._files.update(added)

    def without(self, rows: pa.Table) -> pa.Table:
        """Return the rows whose key is not known."""
        is_new = [key not in self._keys for key in _keys(rows, self._columns)]
        return rows if all(is_new) else rows.filter(pa.array(is_new, pa.bool_()))

    def written(self, handle: DeltaTable, rows: pa.Table) -> None:
        """Take note of rows that this process has written."""
        if self._holds_own:
            self._keys.update(_keys(rows, self._columns))
        self._files.update(handle.file_uris())


def append(
    lake: Lake, name: str, rows: pa.Table, planned_on: Snapshot | None = None, known: KnownKeys | None = None
) -> Appended:
    """Append those rows whose key the table does not hold yet, in one commit, exactly once.

    Args:
        lake: The place of the tables.
        name: The table.
        rows: (N, columns of the contract) in any column order; missing nullable columns are filled with null.
        planned_on: The snapshot in which the caller has looked for these keys. While the table still stands
            there, the keys are not read a second time.
        known: What this process knows of the keys; only files that it has not seen are read.

    Returns:
        The snapshot that holds the rows, and how many of them were new.

    Raises:
        RowsRefusedError: If rows do not fit the contract or name one key twice.
        TableMissingError: If the lake holds no such table.
        LakeError: If the rows cannot be written; then none of them is.
    """
    table = _contract(name)
    rows = _conform(table, rows)

    def fresh(handle: DeltaTable) -> pa.Table:
        if known is not None:
            known.refresh(handle)
            return known.without(rows)
        if planned_on is not None and planned_on.version == handle.version():
            return rows
        try:
            return _without_known(table, handle, rows)
        except FileNotFoundError as error:
            raise LakeError(f"the table {name!r} in {lake.root} has lost a file: {error}") from error

    return _commit(lake, table, fresh, known)


def append_planned(lake: Lake, name: str, plan: Callable[[Snapshot], pa.Table]) -> Appended:
    """Append what a plan finds missing, in one commit; where another writer was faster, plan again.

    For rows whose need, and not only whose key, hangs on what the table holds: two who plan the same at once write
    it once.

    Args:
        lake: The place of the tables.
        name: The table.
        plan: Looks at the table in a snapshot and returns the rows that it lacks.

    Returns:
        The snapshot that holds the rows, and how many were written.

    Raises:
        RowsRefusedError: If rows do not fit the contract or name one key twice.
        LakeError: If the rows cannot be written; then none of them is.
    """
    table = _contract(name)
    return _commit(lake, table, lambda handle: _conform(table, plan(Snapshot(name, handle.version()))))


def _commit(
    lake: Lake, table: Table, fresh: Callable[[DeltaTable], pa.Table], known: KnownKeys | None = None
) -> Appended:
    """Write what is fresh in the newest version through the handle that was looked at; look again if that moved."""
    name = table.name
    for attempt in range(_ATTEMPTS):
        handle = open_table(lake, name)
        rows = fresh(handle)
        if rows.num_rows == 0:
            return Appended(Snapshot(name, handle.version()), 0)
        number = handle.transaction_version(_SEQUENCE)
        try:
            # Through the handle that was looked at: a fresh one would not notice what came in between.
            write_deltalake(
                handle,
                rows,
                mode="append",
                writer_properties=table.writer,
                commit_properties=CommitProperties(
                    app_transactions=[
                        Transaction(_SEQUENCE, 0 if number is None else number + 1),
                        Transaction(_content_id(table, rows), 0),
                    ]
                ),
            )
        except CommitFailedError:
            time.sleep(random.uniform(0, 0.05 * (attempt + 1)))  # apart, so that two writers do not keep step
            continue
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"{rows.num_rows} rows cannot be written to {name!r} in {lake.root}, and none of them is: {error}. "
                f"When there is room and the right to write, the same command goes on."
            ) from error
        if known is not None:
            known.written(handle, rows)
        appended = Appended(Snapshot(name, handle.version()), rows.num_rows)
        for listener in _listeners:
            listener(lake, appended, rows)
        return appended
    raise LakeError(f"{name!r} in {lake.root} was committed to by others {_ATTEMPTS} times in a row; run again")


def later(times: Iterable[datetime]) -> datetime:
    """Return now, or a moment after the latest of some times where the clock stands before it."""
    return max([datetime.now(UTC), *(time + timedelta(microseconds=1) for time in times)])


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: object, length: int = 16) -> str:
    """Return a short hash (hex) of the canonical JSON of a value, for ids that name content."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def describe(snapshots: Iterable[Snapshot]) -> str:
    """Return snapshots as the JSON object of table to version that tables store."""
    return canonical_json({snapshot.table: snapshot.version for snapshot in snapshots})


def _holds_files(lake: Lake, name: str) -> bool:
    return lake.is_local and any(Path(lake.uri(name)).rglob("*.parquet"))


def _require_contract(lake: Lake, table: Table) -> None:
    """Refuse a table that another version of taxalake has made."""
    found = [field.name for field in open_table(lake, table.name).schema().fields]
    if found != table.columns.names:
        differing = ", ".join(sorted(set(found) ^ set(table.columns.names))) or "their order"
        raise LakeError(
            f"the table {table.name!r} in {lake.root} was made by another version of taxalake (it differs in "
            f"{differing}): take the photographs into a new home, or use the version that made this one"
        )


def _contract(name: str) -> Table:
    try:
        return TABLES[name]
    except KeyError:
        raise TableMissingError(f"there is no table {name!r}; the tables are {', '.join(TABLES)}") from None


def _conform(table: Table, rows: pa.Table) -> pa.Table:
    """Put rows in the order and types of the contract and hold them against it."""
    unknown = set(rows.column_names) - set(table.columns.names)
    if unknown:
        raise RowsRefusedError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    columns = []
    for spec in table.columns:
        if spec.name in rows.column_names:
            try:
                column = rows[spec.name].cast(spec.type)
            except pa.ArrowException as error:
                kind = rows[spec.name].type
                raise RowsRefusedError(f"{table.name}.{spec.name} is {spec.type}, not {kind}: {error}") from error
        elif spec.nullable:
            column = pa.nulls(rows.num_rows, spec.type)
        else:
            raise RowsRefusedError(f"{table.name}.{spec.name} is required and was not given")
        if not spec.nullable and column.null_count:
            raise RowsRefusedError(f"{table.name}.{spec.name} is null in {column.null_count} of {len(column)} rows")
        columns.append(column)
    conformed = pa.table(columns, schema=table.columns)
    keys = conformed.select(table.key)
    distinct = keys.group_by(list(table.key)).aggregate([]).num_rows
    if distinct != conformed.num_rows:
        raise RowsRefusedError(
            f"{conformed.num_rows} rows for {table.name} name only {distinct} keys ({', '.join(table.key)})"
        )
    return conformed


def _without_known(table: Table, handle: DeltaTable, rows: pa.Table) -> pa.Table:
    """Return the rows whose key the table, as the handle sees it, does not hold."""
    if handle.version() == 0:
        return rows
    key = list(table.key)
    offered = pl.DataFrame(rows.select(key)).with_row_index("position")
    known = pl.scan_delta(handle).select(key)
    for column in table.partition_by:
        known = known.filter(pl.col(column).is_in(offered[column].unique().implode()))
    fresh = offered.lazy().join(known, on=key, how="anti").select("position").sort("position").collect()
    return rows.take(fresh["position"].to_arrow())


def _keys(rows: pa.Table, columns: Iterable[str]) -> Iterator[tuple[object, ...]]:
    return zip(*(rows[column].to_pylist() for column in columns), strict=True)


def _content_id(table: Table, rows: pa.Table) -> str:
    """Name an append by what it holds: a hash of its sorted keys."""
    keys = pl.DataFrame(rows.select(list(table.key))).sort(list(table.key))
    members = hashlib.sha256()
    for column in keys.iter_columns():
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        text = column.cast(pl.Int64).cast(pl.String) if column.dtype.is_temporal() else column.cast(pl.String)
        for part in (text.str.len_bytes().cast(pl.String), text):
            members.update("\0".join(part).encode())
    return f"{table.name}:{members.hexdigest()[:32]}"
