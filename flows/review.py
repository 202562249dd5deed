"""The review queue: what a person should look at, as a table and as a page with photographs."""

import hashlib
import json
import uuid
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from flows.predict import predict_tiles, predicted_parts, rule_of
from lake import corrections, decisions, embeddings, ledger, reviews, tables
from lake.decisions import Decision
from lake.embeddings import images_of
from lake.labels import EXAMPLE_TABLES
from lake.reviews import Entry, Queue, Training
from lake.rules import MANY
from lake.tables import Snapshot

if TYPE_CHECKING:
    from modeling.registry import Registry, Version
    from modeling.review_sheet import Observation

_PICTURES = 3  # of one observation
_PICTURE_PX = 480
_HEAD = 2_000  # signs of a page among which its review_id stands


class ReviewReport(BaseModel):
    """What a person should look at."""

    dataset: str
    model_version: str
    decision_id: str
    review_id: str
    observations: int
    by_reason: dict[str, int]
    table: str
    page: str
    kept: str  # where a table went that somebody had filled in; empty where there was none
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        kept = [f"the table before it was filled in, and lies in {self.kept}"] if self.kept else []
        if not self.observations:
            return [f"{self.dataset}: nothing in the answers of {self.model_version} asks for a look", *kept]
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.by_reason.items()))
        return [
            f"{self.dataset}: {self.observations:,} observations to look at ({why})",
            f"the page: {self.page}",
            f"the table: {self.table}",
            *kept,
            f"what was filled in: taxalake labels import FILE --dataset {self.dataset}",
            *([] if self.committed else ["nothing new: nothing was committed"]),
        ]


@flow(name="review")
def review(
    dataset: str,
    model: str,
    most: int = 100,
    rule: Path | None = None,
    backbone: str | None = None,
    home: Path | None = None,
) -> ReviewReport:
    """Find the observations that a person should look at, and write them as a table and as a page.

    Args:
        dataset: The data set.
        model: NAME, NAME@alias or NAME/VERSION.
        most: How many observations a person looks at, the most worth it first.
        rule: A file (TOML) that says how species are decided, if not as the place does.
        backbone: Where the model's backbone is now, if not where it was in training.
        home: The place's home.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    settings.require_name(dataset, "data set")
    if most < 1:
        raise settings.SettingsError(f"a review is of at least one observation, not of {most}")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    tables.create_missing(lake)
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    chosen = rule_of(place, version, dataset, None, rule, None)
    embeddings.require_dataset(lake, dataset)
    scope = decisions.whole_scope(lake, dataset)
    place, parts = predicted_parts(place, version, dataset, chosen)
    predicted = predict_tiles(place, registry, version, scope, backbone, run_id)
    decision = decisions.decide(lake, scope, chosen.tilings, version.recorded_as, chosen, run_id, parts)
    queue = reviews.enqueue(lake, decision, parts, _rivals(registry, version), _training(version), most, run_id)
    table, page, kept = _write(place, version, decision, queue)
    committed = bool(predicted) or decision.committed or queue.committed
    if committed:
        rows = sum(len(entry.reasons) for entry in queue.entries)
        ledger.record_stage(lake, run_id, "review", dataset, rows, 0, clock.seconds, image_count=predicted)
    report = ReviewReport(
        dataset=dataset,
        model_version=version.model_version,
        decision_id=decision.decision_id,
        review_id=queue.review_id,
        observations=len(queue.entries),
        by_reason=dict(Counter(reason.reason for entry in queue.entries for reason in entry.reasons)),
        table=str(table),
        page=str(page),
        kept="" if kept is None else str(kept),
        snapshots={snapshot.table: snapshot.version for snapshot in queue.snapshots},
        committed=committed,
    )
    return told(report)


def _rivals(registry: "Registry", version: "Version") -> list[str]:
    """Return the other versions that an alias names: champions of other models, challengers, champions before."""
    return [
        other.recorded_as
        for name in registry.names()
        for other in registry.versions(name)
        if other.aliases and other.recorded_as != version.recorded_as
    ]


def _training(version: "Version") -> Training | None:
    """Return what a version has learnt from, None of one that was brought from elsewhere."""
    tags = version.tags
    if not {"dataset", "split_id", "snapshots"} <= tags.keys():
        return None
    versions = json.loads(tags["snapshots"])
    return Training(tags["dataset"], tags["split_id"], [Snapshot(table, versions[table]) for table in EXAMPLE_TABLES])


def _write(
    place: settings.Settings, version: "Version", decision: Decision, queue: Queue
) -> tuple[Path, Path, Path | None]:
    """Write table and page, where they do not stand there, and return them, and where a filled-in table went."""
    # A name may hold anything but this sign.
    name = f"{decision.scope.dataset}@{settings.require_name(version.name, 'model')}"
    folder = place.home.resolve() / "reviews"
    folder.mkdir(parents=True, exist_ok=True)
    table, page = folder / f"{name}.csv", folder / f"{name}.html"
    beginning = _beginning(page)
    if table.is_file() and queue.review_id in beginning:
        return table, page, None
    kept = _keep_changed(table, beginning)
    # The page last: where it stands, both do.
    content = ("\ufeff" + reviews.as_csv(queue.entries)).encode()
    _replace(table, content)
    _replace(page, _page(place, version, decision, queue, table.name, _hash(content)).encode())
    return table, page, kept


def _beginning(page: Path) -> str:
    """Return the head of a page; empty where there is none."""
    if not page.is_file():
        return ""
    with page.open(encoding="utf-8") as file:
        return file.read(_HEAD)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _keep_changed(table: Path, beginning: str) -> Path | None:
    """Move a table away that is not as a review has written it, so that no work is lost; return where it is now."""
    if not table.is_file():
        return None
    found = _hash(table.read_bytes())
    if found in beginning:
        return None
    kept = table.with_name(f"{table.stem}-filled-{found[:8]}.csv")
    table.replace(kept)
    return kept


def _replace(file: Path, content: bytes) -> None:
    # A name of its own: two reviews may be written at once.
    passing = file.with_name(f".{uuid.uuid4().hex}.partial")
    passing.write_bytes(content)
    passing.replace(file)


def _page(
    place: settings.Settings, version: "Version", decision: Decision, queue: Queue, file_name: str, table_hash: str
) -> str:
    from modeling import review_sheet

    (images,) = tables.latest(place.lake, "images")
    shown = queue.entries[: review_sheet.MOST]
    return review_sheet.page(
        review_sheet.Sheet(
            title=f"{decision.scope.dataset}, as answered by {version.model_version}",
            review_id=queue.review_id,
            table_hash=table_hash,
            file_name=file_name,
            columns=reviews.COLUMNS,
            separator=corrections.SEPARATOR,
            observations=[_observation(place, images, entry) for entry in shown],
            left_out=len(queue.entries) - len(shown),
            takes_several=decision.species == MANY,
            species=queue.species,
        )
    )


def _observation(place: settings.Settings, images: Snapshot, entry: Entry) -> "Observation":
    from modeling.review_sheet import Candidate, Observation

    names = dict(zip(entry.image_ids[:_PICTURES], entry.image_names, strict=False))
    contents = images_of(place.lake, images, list(names))
    return Observation(
        observation_id=entry.observation_id,
        photographs=[(name, *_small(contents[image_id])) for image_id, name in names.items()],
        photograph_count=len(entry.image_ids),
        candidates=[
            Candidate(one.species_id, one.scientific_name, one.probability, one.is_answer) for one in entry.species
        ],
        reasons=[(one.reason, one.detail) for one in entry.reasons],
        cells=reviews.cells(entry),
    )


def _small(content: bytes) -> tuple[bytes, int, int]:
    """Return a photograph as a small JPEG, without what cameras write beside it, its width and its height."""
    from modeling.preprocess import decode

    image = decode(content).convert("RGB")
    image.thumbnail((_PICTURE_PX, _PICTURE_PX))
    small = BytesIO()
    image.save(small, "JPEG", quality=80)
    return small.getvalue(), image.width, image.height
