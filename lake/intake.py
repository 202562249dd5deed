"""A source to rows, a shard at a time: read, hash, decode, reconcile, commit.

A shard commits ``images``, then ``species`` and ``labels``, then ``ingest_issues``, and last ``image_records``,
from which every reader starts. After a kill between two of these commits the rerun finds the records missing and
everything else already there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from lake import query, tables
from lake.images import ImageFacts, Refusal, examine, identity
from lake.schemas import TABLES
from lake.sources import SourceIssue, SourceRecord, SourceSpecies
from lake.tables import Lake, Snapshot


@dataclass(frozen=True)
class KnownRecord:
    """What a photograph on record was and where in the data set it stands."""

    image_id: str
    observation_id: str
    split_tag: str | None


@dataclass(frozen=True)
class Known:
    """What the lake holds of a data set before an intake. Grows with the shards that are written."""

    images: dict[str, KnownRecord]  # by image_name
    contents: set[str]  # every image_id of the lake
    # observation_id -> the species ids that this source gave last. Compared with its own last word, not with what holds
    # now: of two tables that speak of one observation, neither writes again because the other did.
    labels: dict[str, frozenset[str]]
    species: set[str]
    issues: set[tuple[str, str]]  # (image_name, kind)


@dataclass(frozen=True)
class Count:
    """What became of the rows and files of a source. ``found`` is the sum of the other three."""

    kept: int = 0
    already_known: int = 0
    set_aside: int = 0
    set_aside_by_kind: Counter[str] = field(default_factory=Counter)
    byte_count: int = 0  # of the photographs kept
    labels: int = 0  # label rows written
    committed: tuple[Snapshot, ...] = ()

    @property
    def found(self) -> int:
        """Rows and files that the source named."""
        return self.kept + self.already_known + self.set_aside

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.kept + other.kept,
            self.already_known + other.already_known,
            self.set_aside + other.set_aside,
            self.set_aside_by_kind + other.set_aside_by_kind,
            self.byte_count + other.byte_count,
            self.labels + other.labels,
            tuple({snapshot.table: snapshot for snapshot in (*self.committed, *other.committed)}.values()),
        )


@dataclass(frozen=True)
class _Read:
    """A photograph that was read: its content and what is known of it, or why it is refused."""

    record: SourceRecord
    image_id: str
    content: bytes
    facts: ImageFacts | Refusal | None  # None where the lake holds the content already


def known(lake: Lake, dataset: str, source_uri: str) -> Known:
    """Read what the lake holds of a data set, and what a source has said of it."""
    names = ("image_records", "images", "labels", "species", "ingest_issues")
    records, images, labels, species, issues = tables.latest(lake, *names)
    rows = query.answer(lake, "pending/known_records", [records], dataset=dataset)
    current = query.answer(lake, "labels/labels_by_source", [labels], dataset=dataset, source=source_uri)
    by_observation: dict[str, set[str]] = {}
    for observation_id, species_id in zip(
        current["observation_id"].to_pylist(), current["species_id"].to_pylist(), strict=True
    ):
        by_observation.setdefault(observation_id, set()).add(species_id)
    seen = query.answer(lake, "pending/known_issues", [issues], dataset=dataset)
    return Known(
        images={
            row["image_name"]: KnownRecord(row["image_id"], row["observation_id"], row["split_tag"])
            for row in rows.to_pylist()
        },
        contents=set(query.answer(lake, "pending/known_images", [images])["image_id"].to_pylist()),
        labels={key: frozenset(value) for key, value in by_observation.items()},
        species=set(query.answer(lake, "pending/known_species", [species])["species_id"].to_pylist()),
        issues=set(zip(seen["image_name"].to_pylist(), seen["kind"].to_pylist(), strict=True)),
    )


def shards(
    items: Iterable[SourceRecord | SourceIssue], most_items: int, most_bytes: int = 256 << 20
) -> Iterator[list[SourceRecord | SourceIssue]]:
    """Cut what a source yields into lists, in its order; what a list holds fits into memory."""
    shard: list[SourceRecord | SourceIssue] = []
    weight = 0
    for item in items:
        size = _file_size(item)
        if shard and (len(shard) == most_items or weight + size > most_bytes):
            yield shard
            shard, weight = [], 0
        shard.append(item)
        weight += size
    if shard:
        yield shard


def write_shard(
    lake: Lake,
    dataset: str,
    source_uri: str,
    shard: Iterable[SourceRecord | SourceIssue],
    held: Known,
    flow_run_id: str,
    threads: int = 4,
    on_read: Callable[[int], None] = lambda count: None,
) -> Count:
    """Take in one shard of a source and return what became of it.

    Args:
        lake: The place of the tables.
        dataset: The data set that the records belong to.
        source_uri: Who says so, for the labels.
        shard: Records and issues of the source.
        held: What the lake holds; is brought up to date.
        flow_run_id: The flow run that writes.
        threads: Files read and decoded at once; decoders release the interpreter's lock.
        on_read: Told after each item, for a progress bar.
    """
    items = list(shard)
    issues = [item for item in items if isinstance(item, SourceIssue)]
    on_read(len(issues))
    # A file that another table of this data set has named is no file without a row.
    answered = [item for item in issues if item.kind == "file_without_row" and item.image_name in held.images]
    issues = [item for item in issues if item not in answered]
    kept: dict[str, _Read] = {}
    already_known: list[SourceRecord] = []
    with ThreadPoolExecutor(threads) as pool:
        for read in pool.map(
            lambda record: _read(record, held), (item for item in items if isinstance(item, SourceRecord))
        ):
            on_read(1)
            if isinstance(read, SourceIssue):
                issues.append(read)
            elif isinstance(read.facts, Refusal):
                issues.append(SourceIssue(read.record.image_name, read.facts.kind, read.facts.detail))
            elif (on_record := held.images.get(read.record.image_name)) is None:
                kept[read.record.image_name] = read
            elif (differing := _difference(read, on_record)) is None:
                already_known.append(read.record)
            else:
                issues.append(differing)
    stamp = {"flow_run_id": flow_run_id}
    now = datetime.now(UTC)
    labelled = [*(read.record for read in kept.values()), *already_known]
    # What is held is brought up to date after each commit and not before: where a commit fails, the shard is tried
    # again with the same ``held``, which must not say that rows are there that never were written.
    images = _append(lake, "images", _image_rows(kept.values(), held, now, stamp))
    held.contents.update(read.image_id for read in kept.values())
    species = _append(lake, "species", _species_rows(labelled, held, now, stamp))
    held.species.update(one.species_id for record in labelled for one in record.species)
    labels = _append(lake, "labels", _label_rows(dataset, source_uri, labelled, held, now, stamp))
    held.labels.update(_label_sets(labelled))
    noted = _append(lake, "ingest_issues", _issue_rows(dataset, source_uri, issues, held, now, stamp))
    held.issues.update((issue.image_name, issue.kind) for issue in issues)
    records = _append(lake, "image_records", _record_rows(dataset, kept.values(), now, stamp))
    held.images.update(
        (name, KnownRecord(read.image_id, read.record.observation_id, read.record.split_tag))
        for name, read in kept.items()
    )
    written = (images, species, labels, noted, records)
    by_kind: Counter[str] = Counter()
    for issue in issues:
        by_kind[issue.kind] += issue.row_count
    return Count(
        kept=len(kept),
        already_known=len(already_known) + len(answered),
        set_aside=by_kind.total(),
        set_aside_by_kind=by_kind,
        byte_count=sum(len(read.content) for read in kept.values()),
        labels=labels.row_count if labels else 0,
        committed=tuple(done.snapshot for done in written if done and done.row_count),
    )


def _file_size(item: SourceRecord | SourceIssue) -> int:
    """Return the bytes of a record's file; what cannot be asked for has none, and is reported when it is read."""
    try:
        return item.path.stat().st_size if isinstance(item, SourceRecord) else 0
    except OSError:
        return 0


def _read(record: SourceRecord, held: Known) -> _Read | SourceIssue:
    """Read and hash one file, and decode it where the lake does not hold its content."""
    try:
        content = record.path.read_bytes()
    except OSError as error:
        return SourceIssue(record.image_name, "unreadable", f"the file cannot be read: {error.strerror}")
    image_id = identity(content)
    return _Read(record, image_id, content, None if image_id in held.contents else examine(content))


def _difference(read: _Read, on_record: KnownRecord) -> SourceIssue | None:
    """Return what a source now says otherwise of a photograph on record; records are never rewritten."""
    name, record = read.record.image_name, read.record
    if read.image_id != on_record.image_id:
        detail = f"the name is known with other bytes ({on_record.image_id[:12]})"
        return SourceIssue(name, "name_with_other_content", detail)
    for column, now, then in (
        ("observation", record.observation_id, on_record.observation_id),
        ("split", record.split_tag, on_record.split_tag),
    ):
        if now != then:
            detail = f"its {column} is {then} on record and {now} here; take it in as another data set to change that"
            return SourceIssue(name, "record_changed", detail)
    return None


def _append(lake: Lake, table: str, rows: list[dict[str, object]]) -> tables.Appended | None:
    if not rows:
        return None
    return tables.append(lake, table, pa.Table.from_pylist(rows, schema=TABLES[table].columns))


def _image_rows(reads: Iterable[_Read], held: Known, now: datetime, stamp: dict[str, str]) -> list[dict[str, object]]:
    return [
        {
            "image_id": image_id,
            "bytes": read.content,
            **asdict(read.facts),
            "byte_count": len(read.content),
            "ingested_at": now,
            **stamp,
        }
        for image_id, read in {read.image_id: read for read in reads}.items()
        if image_id not in held.contents and isinstance(read.facts, ImageFacts)
    ]


def _species_rows(
    records: Iterable[SourceRecord], held: Known, now: datetime, stamp: dict[str, str]
) -> list[dict[str, object]]:
    named: dict[str, SourceSpecies] = {}
    for species in (species for record in records for species in record.species):
        named.setdefault(species.species_id, species)
    return [
        {**asdict(species), "recorded_at": now, **stamp}
        for species_id, species in named.items()
        if species_id not in held.species
    ]


def _label_rows(
    dataset: str,
    source_uri: str,
    records: Iterable[SourceRecord],
    held: Known,
    now: datetime,
    stamp: dict[str, str],
) -> list[dict[str, object]]:
    """Return the label sets that are new or differ from those that hold; a changed set is written whole."""
    return [
        {
            "dataset": dataset,
            "observation_id": observation_id,
            "species_id": species_id,
            "source": source_uri,
            "status": "given",
            "labelled_at": now,
            **stamp,
        }
        for observation_id, given in _label_sets(records).items()
        if held.labels.get(observation_id) != given
        for species_id in sorted(given)
    ]


def _label_sets(records: Iterable[SourceRecord]) -> dict[str, frozenset[str]]:
    """Return the species ids of each labelled observation."""
    return {
        record.observation_id: frozenset(species.species_id for species in record.species)
        for record in records
        if record.species
    }


def _issue_rows(
    dataset: str,
    source_uri: str,
    issues: Iterable[SourceIssue],
    held: Known,
    now: datetime,
    stamp: dict[str, str],
) -> list[dict[str, object]]:
    """Return the issues that are not on record; those of one photograph and kind are one row."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for issue in issues:
        key = (issue.image_name, issue.kind)
        if key in held.issues:
            continue
        rows[key] = {
            "dataset": dataset,
            "image_name": issue.image_name,
            "kind": issue.kind,
            "detail": issue.detail,
            "row_count": issue.row_count + (int(str(rows[key]["row_count"])) if key in rows else 0),
            "source_uri": source_uri,
            "first_seen_at": now,
            **stamp,
        }
    return list(rows.values())


def _record_rows(dataset: str, reads: Iterable[_Read], now: datetime, stamp: dict[str, str]) -> list[dict[str, object]]:
    return [
        {
            "dataset": dataset,
            "image_name": read.record.image_name,
            "image_id": read.image_id,
            "observation_id": read.record.observation_id,
            "split_tag": read.record.split_tag,
            "organ": read.record.organ,
            "latitude": read.record.latitude,
            "longitude": read.record.longitude,
            "country_code": read.record.country_code,
            "observed_on": read.record.observed_on,
            "license": read.record.license,
            "author": read.record.author,
            "source_uri": str(read.record.path.resolve()),
            "extra": tables.canonical_json(read.record.extra) if read.record.extra else None,
            "ingested_at": now,
            **stamp,
        }
        for read in reads
    ]
