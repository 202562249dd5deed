"""Run one SQL question on given snapshots, sealed: it sees those tables and nothing else.

Questions are files in ``lake/sql``, named by their answer. Values go in as ``$params``; nothing is ever pasted
into a question's text.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
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


def answer(
    lake: Lake | None,
    question: str,
    snapshots: Iterable[Snapshot] = (),
    frames: Mapping[str, pa.Table] | None = None,
    **params: object,
) -> pa.Table:
    """Answer one question of ``lake/sql``.

    Args:
        lake: The place of the snapshots; None where only frames are read.
        question: Folder and name of the file, e.g. ``decide/species_of_quadrat``.
        snapshots: The tables that the question sees, under their own names.
        frames: Arrow tables that it sees as well, by name.
        params: Values for its ``$params``.

    Returns:
        The rows of the answer.

    Raises:
        QuestionError: If there is no such question or the engine refuses it.
    """
    return _run(lake, question, _text(SQL / f"{question}.sql", question), snapshots, frames, params)


def check(
    lake: Lake,
    rule: str,
    snapshots: Iterable[Snapshot],
    frames: Mapping[str, pa.Table] | None = None,
    **params: object,
) -> None:
    """Hold the tables against one rule of ``lake/checks``: its query returns the offenders.

    Raises:
        CheckFailedError: If there is an offender. The message shows the first ones.
    """
    snapshots = tuple(snapshots)
    offenders = _run(lake, rule, _text(CHECKS / f"assert_{rule}.sql", rule), snapshots, frames, params)
    if offenders.num_rows:
        shown = "\n".join(f"  {row}" for row in offenders.slice(0, 5).to_pylist())
        seen = ", ".join(map(str, snapshots))
        raise CheckFailedError(f"{rule.replace('_', ' ')}: {offenders.num_rows} offenders in {seen}:\n{shown}")


def ask(lake: Lake, text: str) -> pa.Table:
    """Answer any question over the newest version of every table, by name. Reads only; nothing else is seen.

    Raises:
        QuestionError: If the engine refuses it, with the engine's words.
        TableMissingError: If there is no lake.
    """
    # Through Arrow, so that the engine is given no file at all: to a file that it may read it may also write
    # (`with a as (copy ... to 'that file') select 1`), and the text of a stranger would destroy the table.
    frames = {name: _dataset(tables.open_table(lake, name)) for name in TABLES}
    return _run(None, "the query", text, (), frames, {})


def _run(
    lake: Lake | None,
    name: str,
    text: str,
    snapshots: Iterable[Snapshot],
    frames: Mapping[str, pa.Table | pads.Dataset] | None,
    params: Mapping[str, object],
) -> pa.Table:
    handles = {}
    for snapshot in snapshots:
        if lake is None:
            raise QuestionError(f"{name} was given {snapshot} but no lake to read it from")
        handles[snapshot.table] = tables.open_table(lake, snapshot.table, snapshot.version)
    try:
        with _sealed(handles, frames or {}) as connection:
            kinds = [statement.type for statement in connection.extract_statements(text)]
            if kinds != [duckdb.StatementType.SELECT]:
                found = ", ".join(kind.name.lower() for kind in kinds) or "nothing"
                raise QuestionError(f"{name} has to be one select, not {found}")
            return connection.sql(text, params=dict(params) or None).to_arrow_table()
    except duckdb.Error as error:
        raise QuestionError(f"{name}: {error}") from error


@contextmanager
def _sealed(
    handles: Mapping[str, DeltaTable], frames: Mapping[str, pa.Table | pads.Dataset]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that sees the given tables and cannot be opened further.

    The order matters: the allowed files are named first, then the outside is shut, then the settings are locked.
    """
    files = {name: _files(handle) for name, handle in handles.items()}
    with tempfile.TemporaryDirectory(prefix="taxalake-") as spill:
        # Without it a misspelled table would be looked for among the variables of the calling Python code.
        connection = duckdb.connect(config={"python_enable_replacements": "false"})
        try:
            allowed = ", ".join(_literal(file) for group in files.values() for file in group or ())
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("set autoinstall_known_extensions = false")
            connection.execute(f"set temp_directory = {_literal(spill)}")
            connection.execute(f"set allowed_paths = [{allowed}]")
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
            for name, frame in frames.items():
                connection.register(name, frame)
            yield connection
        finally:
            connection.close()


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
