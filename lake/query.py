"""Run one SQL question on given snapshots, sealed: it sees those tables and nothing else.

Questions are files in ``lake/sql``, named by their answer. Values go in as ``$params``; nothing is ever pasted
into a question's text.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaProtocolError

from lake import tables
from lake.errors import CheckFailedError, QuestionError
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

SQL = Path(__file__).parent / "sql"
CHECKS = Path(__file__).parent / "checks"
# A reader that knows only the first protocol would show deleted rows and miss renamed columns.
_PLAIN_READER = 1
_ROWS_IN_BATCH = 100_000
_COMING = "coming_answer"

R = TypeVar("R")
# What a question sees beside snapshots: rows in memory, or the parquet files that hold them.
Frames = Mapping[str, pa.Table | pads.Dataset | tuple[Path, ...]]


class Session:
    """Several questions on one engine: opening one costs more than most answers do. Made by ``session``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, snapshots: tuple[Snapshot, ...]) -> None:
        self._connection = connection
        self._waiting: dict[str, tuple[Path, ...]] = {}
        self.snapshots = snapshots

    def answer(self, question: str, **params: object) -> pa.Table:
        """Return the rows that a question of ``lake/sql`` is answered with."""
        return self._run(question, _text(SQL / f"{question}.sql", question), params, _table)

    def save(self, path: Path, question: str, **params: object) -> int:
        """Answer a question into a parquet file, without holding the answer; return its rows."""
        return self._run(question, _text(SQL / f"{question}.sql", question), params, _saved_to(path))

    def check(self, rule: str, **params: object) -> None:
        """Hold the tables against one rule of ``lake/checks``: its query returns the offenders.

        Raises:
            CheckFailedError: If there is an offender. The message shows the first ones.
        """
        offenders = self._run(rule, _text(CHECKS / f"assert_{rule}.sql", rule), params, _table)
        if offenders.num_rows:
            shown = "\n".join(f"  {row}" for row in offenders.slice(0, 5).to_pylist())
            seen = ", ".join(map(str, self.snapshots))
            raise CheckFailedError(f"{rule.replace('_', ' ')}: {offenders.num_rows} offenders in {seen}:\n{shown}")

    def show(self, name: str, frame: pa.Table | pads.Dataset) -> None:
        """Let the questions that follow see rows under a name, in the place of others of that name."""
        self._connection.register(name, frame)

    def keep(self, name: str, question: str, **params: object) -> None:
        """Answer a question and let those that follow see the answer under a name, without handing it out.

        What had the name before is gone, also where the question has read it.
        """
        text = _text(SQL / f"{question}.sql", question)
        self._run(question, text, params, lambda relation: relation.create(_COMING))
        known = self._connection.execute(
            "select table_type from information_schema.tables where table_name = ?", [name]
        ).fetchall()
        for (kind,) in known:
            self._connection.execute(f"drop {'view' if kind == 'VIEW' else 'table'} {name}")
        self._connection.execute(f"alter table {_COMING} rename to {name}")

    def expect(self, name: str, files: tuple[Path, ...]) -> None:
        """Let the questions see parquet files under a name, from when they are there."""
        self._waiting[name] = files

    def run(self, name: str, text: str, params: Mapping[str, object]) -> pa.Table:
        """Return the rows that a text is answered with; ``name`` stands for it in messages."""
        return self._run(name, text, params, _table)

    def _run(
        self,
        name: str,
        text: str,
        params: Mapping[str, object],
        result: Callable[[duckdb.DuckDBPyRelation], R],
    ) -> R:
        try:
            for waiting, files in list(self._waiting.items()):
                if all(file.is_file() for file in files):
                    listed = ", ".join(_literal(str(file)) for file in files)
                    self._connection.execute(f"create view {waiting} as from read_parquet([{listed}])")
                    del self._waiting[waiting]
            kinds = [statement.type for statement in self._connection.extract_statements(text)]
            if kinds != [duckdb.StatementType.SELECT]:
                found = ", ".join(kind.name.lower() for kind in kinds) or "nothing"
                raise QuestionError(f"{name} has to be one select, not {found}")
            return result(self._connection.sql(text, params=dict(params) or None))
        except duckdb.Error as error:
            raise QuestionError(f"{name}: {error}") from error
        except OSError as error:
            raise QuestionError(f"{name}: its answer cannot be written: {error}") from error


@contextmanager
def session(
    lake: Lake | None,
    snapshots: Iterable[Snapshot] = (),
    frames: Frames | None = None,
    memory_limit: str | None = None,
) -> Iterator[Session]:
    """Open an engine for several questions on the same snapshots and frames.

    Args:
        lake: The place of the snapshots; None where only frames are read.
        snapshots: The tables that the questions see, under their own names.
        frames: Arrow tables, or parquet files, that they see as well, by name. Files may come to be there later.
        memory_limit: What is more spills to the disk, e.g. ``1GB``; four fifths of the machine's memory by default.
    """
    seen = tuple(snapshots)
    handles = {}
    for snapshot in seen:
        if lake is None:
            raise QuestionError(f"{snapshot} was given, but no lake to read it from")
        handles[snapshot.table] = tables.open_table(lake, snapshot.table, snapshot.version)
    saved = {name: frame for name, frame in (frames or {}).items() if isinstance(frame, tuple)}
    files = [file for group in saved.values() for file in group]
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(_sealed(handles, files, memory_limit))
        except duckdb.Error as error:
            raise QuestionError(f"{', '.join(map(str, seen))} cannot be read: {error}") from error
        opened = Session(connection, seen)
        for name, frame in (frames or {}).items():
            if isinstance(frame, tuple):
                opened.expect(name, frame)
            else:
                opened.show(name, frame)
        yield opened


def answer(
    lake: Lake | None,
    question: str,
    snapshots: Iterable[Snapshot] = (),
    frames: Frames | None = None,
    **params: object,
) -> pa.Table:
    """Answer one question of ``lake/sql``.

    Args:
        lake: The place of the snapshots; None where only frames are read.
        question: Folder and name of the file, e.g. ``decide/species_of_quadrat``.
        snapshots: The tables that the question sees, under their own names.
        frames: Arrow tables, or parquet files, that it sees as well, by name.
        params: Values for its ``$params``.

    Returns:
        The rows of the answer.

    Raises:
        QuestionError: If there is no such question or the engine refuses it.
    """
    with session(lake, snapshots, frames) as opened:
        return opened.answer(question, **params)


def check(
    lake: Lake,
    rule: str,
    snapshots: Iterable[Snapshot],
    frames: Frames | None = None,
    **params: object,
) -> None:
    """Hold the tables against one rule of ``lake/checks``: its query returns the offenders.

    Raises:
        CheckFailedError: If there is an offender. The message shows the first ones.
    """
    with session(lake, snapshots, frames) as opened:
        opened.check(rule, **params)


def ask(lake: Lake, text: str) -> pa.Table:
    """Answer any question over the newest version of every table, by name. Reads only; nothing else is seen.

    Raises:
        QuestionError: If the engine refuses it, with the engine's words.
        TableMissingError: If there is no lake.
    """
    # Through Arrow, so that the engine is given no file at all: to a file that it may read it may also write
    # (`with a as (copy ... to 'that file') select 1`), and the text of a stranger would destroy the table.
    frames = {name: _dataset(tables.open_table(lake, name)) for name in TABLES}
    with session(None, (), frames) as opened:
        return opened.run("the query", text, {})


@contextmanager
def _sealed(
    handles: Mapping[str, DeltaTable], also: Iterable[Path], memory_limit: str | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that sees the given tables, may read some more files, and cannot be opened further.

    The order matters: the allowed files are named first, then the outside is shut, then the settings are locked.
    """
    files = {name: _files(handle) for name, handle in handles.items()}
    with tempfile.TemporaryDirectory(prefix="taxalake-") as spill:
        # Without it a misspelled table would be looked for among the variables of the calling Python code.
        connection = duckdb.connect(config={"python_enable_replacements": "false"})
        try:
            allowed = [*(file for group in files.values() for file in group or ()), *map(str, also)]
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("set autoinstall_known_extensions = false")
            if memory_limit is not None:
                connection.execute(f"set memory_limit = {_literal(memory_limit)}")
            connection.execute(f"set temp_directory = {_literal(spill)}")
            connection.execute(f"set allowed_paths = [{', '.join(map(_literal, allowed))}]")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            for name, handle in handles.items():
                group = files[name]
                if group is None:
                    connection.register(name, _dataset(handle))
                elif group:
                    connection.execute(_view(name, group))
                else:
                    connection.register(name, TABLES[name].columns.empty_table())
            yield connection
        finally:
            connection.close()


def _table(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    return relation.to_arrow_table()


def _saved_to(path: Path) -> Callable[[duckdb.DuckDBPyRelation], int]:
    """Return what streams a relation into a parquet file: the sealed engine itself may write nowhere."""

    def save(relation: duckdb.DuckDBPyRelation) -> int:
        reader = relation.to_arrow_reader(_ROWS_IN_BATCH)
        rows = 0
        with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows

    return save


def _files(handle: DeltaTable) -> list[str] | None:
    """Return the files of a table that DuckDB may read by itself, None where it has to go through Arrow.

    Its own reader is several times faster on vectors, but reads files, not the table: deletion vectors and renamed
    columns (both need a newer reader protocol) would be overlooked, and remote files would need an extension.
    """
    uris = handle.file_uris()
    if handle.protocol().min_reader_version > _PLAIN_READER or any("://" in uri for uri in uris):
        return None
    return sorted(uris)


def _dataset(handle: DeltaTable) -> pads.Dataset:
    try:
        return handle.to_pyarrow_dataset()
    except DeltaProtocolError as error:
        raise QuestionError(f"{handle.table_uri} was written with features that are not read here: {error}") from error


def _view(name: str, files: list[str]) -> str:
    """Return the statement that shows parquet files as a table. File names are literals: a view takes no params."""
    listed = ", ".join(_literal(file) for file in files)
    partitions = TABLES[name].partition_by
    if not partitions:
        return f"create view {name} as from read_parquet([{listed}], union_by_name = true)"
    # Types are said, or the key '007' would be read as the number 7.
    kinds = ", ".join(f"{column}: varchar" for column in partitions)
    return (
        f"create view {name} as from read_parquet([{listed}], union_by_name = true, "
        f"hive_partitioning = true, hive_types = {{{kinds}}})"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(path: Path, question: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise QuestionError(f"there is no question {question!r}: {path.name} is not in {path.parent}") from None
