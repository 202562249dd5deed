"""Files into the lake, a shard at a time: their bytes, what they show, or why they are refused.

Each shard commits ``images`` and then ``file_reads``, and is safe to read again. Which files are read, and what becomes
of the rows that named them, is ``lake.intake``'s to know.
"""

import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lake import blobs, tables
from lake.files import UNKNOWN, File, RefusedFileError
from lake.images import ImageFacts, Refusal, examine, identity
from lake.schemas import TABLES
from lake.tables import KnownKeys, Lake, Snapshot
from lake.text import plain

# What a file of unknown size is taken to weigh in a shard.
_USUAL_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much at once."""

    shard_images: int = 256
    shard_bytes: int = 64 << 20
    inline_bytes: int = 4 << 20  # a larger photograph lies in a file of its own


@dataclass(frozen=True)
class PendingFile:
    """A file that has to be read."""

    file: File
    attempt: int


@dataclass(frozen=True)
class ReadCount:
    """What a shard of files came to."""

    files: int = 0
    images: int = 0  # new to the lake
    byte_count: int = 0  # of the files

    def __add__(self, other: "ReadCount") -> "ReadCount":
        return ReadCount(self.files + other.files, self.images + other.images, self.byte_count + other.byte_count)


def shards(pending: Path, limits: Limits) -> Iterator[list[PendingFile]]:
    """Yield files that have to be read, in the order in which they lie, as lists that fit into memory.

    Args:
        pending: The parquet file that ``intake/files_to_read`` is answered into.
        limits: How many files, and how many bytes of them, are in one list.
    """
    shard: list[PendingFile] = []
    weight = 0
    for batch in pq.ParquetFile(pending).iter_batches(10_000):
        for row in batch.to_pylist():
            attempt = row.pop("attempt")
            size = _USUAL_BYTES if row["byte_count"] == UNKNOWN else row["byte_count"]
            if shard and (len(shard) == limits.shard_images or weight + size > limits.shard_bytes):
                yield shard
                shard, weight = [], 0
            shard.append(PendingFile(File(**row), attempt))
            weight += size
    if shard:
        yield shard


class Reader:
    """Reads shards of files into the lake. Several shards may be read at once, from several threads."""

    def __init__(
        self,
        lake: Lake,
        read: Callable[[File], bytes],
        pool: Executor,
        limits: Limits,
        planned_on: Snapshot,
        flow_run_id: str,
        on_read: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Look up which images the lake holds.

        Args:
            lake: The place of the tables.
            read: Gives the bytes of a file; is called from the pool's threads.
            pool: Threads that read, hash and decode; decoders release the interpreter's lock.
            limits: What lies in a file of its own.
            planned_on: The ``file_reads`` in which the pending files were not found.
            flow_run_id: The flow run that writes.
            on_read: Told after each file, for a progress bar.
        """
        self._lake, self._bytes_of, self._pool, self._limits = lake, read, pool, limits
        self._run, self._on_read = flow_run_id, on_read
        self._images = KnownKeys(lake, "images")
        self._apart = blobs.known(lake)
        self._reads = KnownKeys(lake, "file_reads", planned_on)
        # One commit at a time: two of one process would only refuse each other.
        self._committing = threading.Lock()

    def read(self, shard: Sequence[PendingFile]) -> ReadCount:
        """Read one shard and commit what its files hold."""
        total = ReadCount()
        reads: list[_Read] = []
        for read in self._pool.map(self._read, shard):
            self._on_read(1)
            reads.append(read)
            # On the web nobody knows before how large they are.
            if sum(len(each.content or b"") for each in reads) > 2 * self._limits.shard_bytes:
                total += self._commit(reads)
                reads = []
        return total + self._commit(reads) if reads else total

    def _commit(self, reads: Sequence["_Read"]) -> ReadCount:
        with self._committing:
            image_count = self._commit_images(reads)
            self._commit_reads(reads)
        return ReadCount(len(reads), image_count, sum(read.byte_count for read in reads))

    def _read(self, pending: PendingFile) -> "_Read":
        try:
            content = self._bytes_of(pending.file)
        except RefusedFileError as error:
            return _Read(pending, None, None, None, 0, Refusal(error.kind, error.detail))
        # Whatever a name or an address makes the system or a library raise: one row must not end the run of the others.
        except Exception as error:
            return _Read(pending, None, None, None, 0, Refusal("unreadable", plain(f"{type(error).__name__}: {error}")))
        size = len(content)
        image_id = identity(content)
        if (image_id,) in self._images:
            if image_id in self._apart:
                blobs.put(self._lake, image_id, content)  # mends one that was lost or damaged
            return _Read(pending, image_id, None, None, size, None)
        facts = examine(content)
        if isinstance(facts, Refusal):
            return _Read(pending, None, None, None, size, facts)
        if size > self._limits.inline_bytes and self._lake.is_local:
            return _Read(pending, image_id, None, blobs.put(self._lake, image_id, content), size, facts)
        return _Read(pending, image_id, content, None, size, facts)

    def _commit_images(self, reads: Sequence["_Read"]) -> int:
        now = datetime.now(UTC)
        fresh = {
            read.image_id: {
                "image_id": read.image_id,
                "blob_uri": read.blob_uri,
                **asdict(read.facts),
                "byte_count": read.byte_count,
                "ingested_at": now,
                "flow_run_id": self._run,
            }
            for read in reads
            if isinstance(read.facts, ImageFacts) and (read.image_id,) not in self._images
        }
        if not fresh:
            return 0
        content = {read.image_id: read.content for read in reads}
        rows = _with_bytes(_rows("images", list(fresh.values())), [content[image_id] for image_id in fresh])
        return tables.append(self._lake, "images", rows, known=self._images).row_count

    def _commit_reads(self, reads: Sequence["_Read"]) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "location": read.pending.file.location,
                "byte_count": read.pending.file.byte_count,
                "modified_ns": read.pending.file.modified_ns,
                "attempt": read.pending.attempt,
                "image_id": read.image_id,
                "kind": read.facts.kind if isinstance(read.facts, Refusal) else None,
                "detail": read.facts.detail if isinstance(read.facts, Refusal) else None,
                "read_at": now,
                "flow_run_id": self._run,
            }
            for read in reads
        ]
        tables.append(self._lake, "file_reads", _rows("file_reads", rows), known=self._reads)


@dataclass(frozen=True)
class _Read:
    """A file that was read: what it holds, or why it is refused."""

    pending: PendingFile
    image_id: str | None
    content: bytes | None  # None where the lake holds it already, or it lies in a file of its own
    blob_uri: str | None
    byte_count: int
    facts: ImageFacts | Refusal | None  # None where the lake holds the content already


def _with_bytes(rows: pa.Table, contents: Sequence[bytes | None]) -> pa.Table:
    """Put the bytes of photographs into their rows, each where it lies: copying them would cost more than writing."""
    kind = rows.schema.field("bytes")
    chunks = [
        pa.nulls(1, kind.type)
        if content is None
        else pa.Array.from_buffers(
            kind.type, 1, [None, pa.py_buffer(struct.pack("=ii", 0, len(content))), pa.py_buffer(content)]
        )
        for content in contents
    ]
    return rows.set_column(rows.schema.get_field_index("bytes"), kind, pa.chunked_array(chunks, kind.type))


def _rows(table: str, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES[table].columns)
