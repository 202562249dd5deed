"""A source into the lake: reconcile, read, reconcile again, commit.

A source is staged and matched with its files before the first photograph is read, so that a loss shows at once. Then
files that are new or changed are read, shard by shard (``lake.reading``): each shard commits ``images`` and then
``file_reads``, which remembers what a file of this place, size and time holds. When all are read, the rest follows
from the tables by SQL: ``species``, ``labels``, ``ingest_issues``, and last ``image_records``, from which every reader
starts.

After a kill at any moment the same again finds in ``file_reads`` what was read, and in each table what was written.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lake import labels, query, tables
from lake.errors import LossError
from lake.files import UNKNOWN, File
from lake.reading import Limits, PendingFile, shards
from lake.schemas import TABLES
from lake.staging import Staged
from lake.tables import Appended, Lake, Snapshot
from lake.text import plain

# Reasons that may have passed: such files are tried again whenever their source is taken in.
PASSING_KINDS = ("cannot_be_opened", "changed_while_reading", "not_reachable")
_FIRST_PAUSE_SECONDS = 300  # between two tries, where they are to keep pauses
# Up to this many photographs are no loss, whatever their share: a handful of bad files in a small folder.
TOLERATED = 20
_HINTS = {
    "row_without_file": "--root says where a table's paths begin; --images-by-name finds files in whatever folder.",
    "file_without_row": "Several tables of one folder: each of them is set against all photographs of the folder.",
    "address_refused": "TAXALAKE_ALLOW_PRIVATE_ADDRESSES=true takes addresses of one's own network.",
    "not_reachable": "The same command asks the web again.",
}
_ROWS_IN_COMMIT = 200_000
_MEMORY = "1GB"  # of the engine: what a source says is larger than memory sooner than its labels are
_ASKED = ("file_reads", "image_records", "images", "ingest_issues", "labels", "species", "taxon_changes")


@dataclass(frozen=True)
class Count:
    """What became of the rows and files of a source. ``found`` is the sum of the other four."""

    kept: int = 0
    already_known: int = 0
    unread: int = 0  # files whose turn has not come
    set_aside_by_kind: Counter[str] = field(default_factory=Counter)
    newly_set_aside: int = 0  # of them, those that no earlier intake has set aside

    @property
    def set_aside(self) -> int:
        """Rows and files that are not kept."""
        return self.set_aside_by_kind.total()

    @property
    def found(self) -> int:
        """Rows and files that the source named."""
        return self.kept + self.already_known + self.unread + self.set_aside


@dataclass(frozen=True)
class Loss:
    """Photographs that would be set aside for one reason."""

    kind: str
    extension: str
    row_count: int
    species_count: int
    most_frequent: list[str]  # "species_id rows" of the species that lose most
    example: str


@dataclass(frozen=True)
class Sample:
    """Something that was set aside, for people to look at."""

    image_name: str
    kind: str
    detail: str
    file: File | None  # None: no listing has named one, whatever address the source gives


class Intake:
    """A staged source on its way into a data set. A context manager, used from one thread."""

    def __init__(self, lake: Lake, dataset: str, staged: Staged, flow_run_id: str) -> None:
        self._lake, self._dataset, self._staged, self._run = lake, dataset, staged, flow_run_id
        self._open = ExitStack()
        self._session: query.Session | None = None
        names = ("matched_rows", "files_to_read", "outcomes", "new_records")
        self._files = {name: staged.folder / f"{name}.parquet" for name in names}

    def __enter__(self) -> "Intake":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._open.close()

    def find_pending(
        self, retried_kinds: Sequence[str] = (), read_all: bool = False, longest_pause_seconds: int = 0
    ) -> int:
        """Match rows with files, find out which files have to be read, and return how many there are.

        Args:
            retried_kinds: Reasons for which files were refused that are read again, beside the passing ones.
            read_all: Whether files whose place, size and time are known are read as well.
            longest_pause_seconds: That lie between two tries of a file that was refused; the first pause is of five
                minutes, each other one twice as long as the one before. With 0 there are none.
        """
        ask = self._ask()
        self._planned_on = next(snapshot for snapshot in ask.snapshots if snapshot.table == "file_reads")
        ask.save(self._files["matched_rows"], "intake/matched_rows", names_are_unique=self._staged.names_are_unique)
        return ask.save(
            self._files["files_to_read"],
            "intake/files_to_read",
            read_all=read_all,
            retried_kinds=[*PASSING_KINDS, *retried_kinds],
            first_pause_seconds=_FIRST_PAUSE_SECONDS,
            longest_pause_seconds=longest_pause_seconds,
            now=datetime.now(UTC),
        )

    @property
    def planned_on(self) -> Snapshot:
        """The ``file_reads`` in which the pending files were not found, after ``find_pending``."""
        return self._planned_on

    @property
    def fetches(self) -> bool:
        """Whether some of the pending files are on the web."""
        pending = pl.scan_parquet(self._files["files_to_read"])
        return not pending.filter(pl.col("byte_count") == UNKNOWN).head(1).collect().is_empty()

    def shards(self, limits: Limits) -> Iterator[list[PendingFile]]:
        """Return the files that have to be read as lists that fit into memory, after ``find_pending``."""
        return shards(self._files["files_to_read"], limits)

    def reconcile(self) -> Count:
        """Find out what becomes of each row and file as the tables stand now, and count it."""
        self._renew()  # the outcomes that it may have seen are written anew
        ask = self._ask()
        ask.save(self._files["outcomes"], "intake/outcomes", dataset=self._dataset, source_uri=self._staged.uri)
        totals: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        newly = 0
        for row in ask.answer("intake/outcome_counts").to_pylist():
            totals[row["outcome"]] += row["row_count"]
            if row["outcome"] == "set_aside":
                kinds[row["kind"]] += row["row_count"]
                newly += row["new_count"]
        return Count(totals["new"], totals["known"], totals["unread"], kinds, newly)

    def losses(self) -> list[Loss]:
        """Return what is newly set aside, by reason and extension, the largest first."""
        rows = self._ask().answer("intake/losses").to_pylist()
        return [Loss(**{**row, "most_frequent": row["most_frequent"] or []}) for row in rows]

    def set_aside_samples(self, most: int = 24) -> list[Sample]:
        """Return some of what is set aside, at most so many of each kind."""
        rows = self._ask().answer("intake/set_aside_samples", most=most).to_pylist()
        return [Sample(row["image_name"], row["kind"], row["detail"], _listed_file(row)) for row in rows]

    def require_little_loss(self, count: Count, most: float) -> None:
        """Refuse to go on where more would be lost than was said to be acceptable.

        Args:
            count: What would become of the source.
            most: The share (0 to 1) of what is new that may be set aside.

        Raises:
            LossError: If more is set aside, and more than ``TOLERATED`` in number; the message shows what and why.
        """
        lost = count.newly_set_aside
        new = lost + count.kept + count.unread
        if lost <= TOLERATED or lost / new <= most:
            return
        lines = [f"  {'reason':24} {'extension':10} {'rows':>9}  {'species':>7}  e.g."]
        for loss in self.losses():
            lines.append(
                f"  {loss.kind:24} {plain(loss.extension):10} {loss.row_count:>9,}  {loss.species_count:>7,}  "
                + plain(loss.example)
            )
            if loss.most_frequent:
                lines.append(f"    most rows by species: {plain(', '.join(loss.most_frequent))}")
        share = lost / new
        raise LossError(
            f"{lost:,} of {new:,} new rows and files of {self._staged.uri} ({share:.1%}) would be set aside, and "
            f"{most:.1%} is what is accepted. No photograph of it came on record in {self._dataset!r}.\n"
            + "\n".join(lines)
            + "".join(f"\n{hint}" for kind, hint in _HINTS.items() if count.set_aside_by_kind[kind])
            + f"\nIf that is as it should be, accept it with --max-loss {min(1.0, math.ceil(share * 100) / 100):.2f}"
        )

    def commit(self, count: Count) -> tuple[Count, list[Appended]]:
        """Write what follows from the outcomes, records last. Writes nothing where nothing has changed.

        Args:
            count: The outcomes as they were counted.

        Returns:
            The count, corrected where another intake was faster, and what was appended.
        """
        written = self._written()
        kept = _records(written)
        if kept < count.kept:
            # Another intake has brought some of the names meanwhile, perhaps with other bytes: see what holds now.
            now = self.reconcile()
            written += self._written()
            kept = _records(written)
            count = replace(now, kept=kept, already_known=now.kept + now.already_known - kept)
        return count, [done for done in written if done.row_count]

    def _written(self) -> list[Appended]:
        written = [
            self._planned("species", "intake/new_species", source_uri=self._staged.uri),
            self._planned("labels", "intake/new_labels", dataset=self._dataset, source_uri=self._staged.uri),
            *self._issues(),
        ]
        ask = self._session or self._ask()
        ask.save(self._files["new_records"], "intake/new_records")
        constants = {**self._constants, "ingested_at": datetime.now(UTC)}
        for batch in pq.ParquetFile(self._files["new_records"]).iter_batches(_ROWS_IN_COMMIT):
            rows = _completed("image_records", pa.Table.from_batches([batch]), constants)
            written.append(tables.append(self._lake, "image_records", rows))
        return [*written, self._note()]

    def check(self) -> None:
        """Hold the tables against what was found.

        Raises:
            CheckFailedError: If a row or file of the source was lost on the way.
        """
        ask = self._ask()
        ask.check("every_found_row_is_accounted_for", dataset=self._dataset, source_uri=self._staged.uri)
        ask.check("every_record_has_its_image", dataset=self._dataset)

    @property
    def _constants(self) -> dict[str, object]:
        return {
            "dataset": self._dataset,
            "source_uri": self._staged.uri,
            "source": self._staged.uri,
            "flow_run_id": self._run,
        }

    def _ask(self) -> query.Session:
        """Return an engine on the tables as they are now."""
        now = tables.latest(self._lake, *_ASKED)
        if self._session is None or self._session.snapshots != now:
            self._renew()
            frames: query.Frames = {
                **self._staged.frames,
                **{name: (file,) for name, file in self._files.items()},
            }
            self._session = self._open.enter_context(query.session(self._lake, now, frames, _MEMORY))
        return self._session

    def _renew(self) -> None:
        self._open.close()
        self._session = None

    def _planned(self, table: str, question: str, **params: object) -> Appended:
        """Append what a question finds missing in a table."""
        now = datetime.now(UTC)

        def plan(snapshot: Snapshot) -> pa.Table:
            # These questions read no other table: an engine on this snapshot will do, however old its others are.
            ask = self._session if self._session and snapshot in self._session.snapshots else self._ask()
            return _completed(table, ask.answer(question, now=now, **params), self._constants)

        return tables.append_planned(self._lake, table, plan)

    def _issues(self) -> list[Appended]:
        """Append what is set aside, in parts; where another writer comes in between, see what is left."""
        path = self._staged.folder / "new_issues.parquet"
        written: list[Appended] = []
        while True:
            ask = self._ask()
            held = next(snapshot for snapshot in ask.snapshots if snapshot.table == "ingest_issues")
            named = {"dataset": self._dataset, "source_uri": self._staged.uri, "now": datetime.now(UTC)}
            ask.save(path, "intake/new_issues", **named)
            try:
                for batch in pq.ParquetFile(path).iter_batches(_ROWS_IN_COMMIT):
                    rows = _completed("ingest_issues", pa.Table.from_batches([batch]), self._constants)
                    written.append(tables.append_planned(self._lake, "ingest_issues", partial(_unmoved, held, rows)))
                    held = written[-1].snapshot
            except _OvertakenError:
                continue
            return written

    def _note(self) -> Appended:
        """Note the photographs on record whose bytes stand under several names or species."""
        now = datetime.now(UTC)

        def plan(snapshot: Snapshot) -> pa.Table:
            ask = self._ask()
            ask.show("current_labels", labels.current_in(ask, self._dataset))
            rows = ask.answer("intake/new_notes", dataset=self._dataset, now=now)
            # It is the data set's and no source's: whichever source brought the second name, it is said once.
            return _completed("ingest_issues", rows, {**self._constants, "source_uri": None})

        return tables.append_planned(self._lake, "ingest_issues", plan)


class _OvertakenError(Exception):
    """Another writer has appended to a table since rows for it were planned."""


def _unmoved(planned_on: Snapshot, rows: pa.Table, found: Snapshot) -> pa.Table:
    """Return rows while their table still stands where they were planned."""
    if found != planned_on:
        raise _OvertakenError
    return rows


def _listed_file(row: Mapping[str, Any]) -> File | None:
    """Return the file of something that was set aside, None where it is only an address that a stranger wrote."""
    if row["byte_count"] in {None, UNKNOWN}:
        return None
    return File(row["location"], row["byte_count"], row["modified_ns"], row["position"])


def record_source(
    lake: Lake, dataset: str, uri: str, form: str, options: Mapping[str, object], flow_run_id: str
) -> Appended:
    """Remember how a source is read now, where that is news, so that it can be taken in again."""
    source_id = tables.digest([form, dict(options)])
    columns = TABLES["ingest_sources"].columns

    def plan(snapshot: Snapshot) -> pa.Table:
        held = query.answer(lake, "pending/last_source", [snapshot], dataset=dataset, source_uri=uri).to_pylist()
        if held and held[0]["source_id"] == source_id:
            return columns.empty_table()
        row = {
            "dataset": dataset,
            "source_id": source_id,
            "source_uri": uri,
            "format": form,
            "options": tables.canonical_json(dict(options)),
            "recorded_at": tables.later(row["recorded_at"] for row in held),
            "flow_run_id": flow_run_id,
        }
        return pa.Table.from_pylist([row], schema=columns)

    return tables.append_planned(lake, "ingest_sources", plan)


def _records(written: Sequence[Appended]) -> int:
    return sum(done.row_count for done in written if done.snapshot.table == "image_records")


def _completed(table: str, rows: pa.Table, constants: Mapping[str, object]) -> pa.Table:
    """Add the columns of a table that are the same in all rows."""
    for column in TABLES[table].columns:
        if column.name in constants and column.name not in rows.column_names:
            value = pa.repeat(pa.scalar(constants[column.name], column.type), rows.num_rows)
            rows = rows.append_column(column.name, value)
    return rows
