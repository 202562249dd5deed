"""What is held out against what is learnt from: copies, near-duplicates and shared origins. Changes no split's side."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, progress, run_task, say, told
from lake import embeddings, ledger, near_duplicates, splits, tables
from lake.near_duplicates import Hashed

SHOWN = 10

hash_task = task(name="hash-images", retries=1, retry_delay_seconds=5, cache_policy=NO_CACHE)(
    near_duplicates.hash_pending
)


class LeakingPair(BaseModel):
    """A held-out photograph and its counterpart in training, which stands for as many as ``training_count``."""

    kind: str
    split: str
    held_out_image: str
    training_image: str
    training_count: int
    distance: int | None


class SharedOrigins(BaseModel):
    """Authors or base quadrats of both what is held out and what is learnt from; the photographs on either side."""

    kind: str
    split: str
    origin_count: int
    held_out_count: int
    training_count: int


class AuditReport(BaseModel):
    """What stands on two sides of a split though it should not."""

    dataset: str
    split_id: str
    split_by: str
    observations: dict[str, int]  # side -> count
    pairs: dict[str, int]  # kind -> count
    held_out_images: dict[str, int]  # kind -> held-out photographs concerned
    first_pairs: list[LeakingPair]
    shared_origins: list[SharedOrigins]
    hashed: int
    not_hashed: int  # failed now
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        sides = ", ".join(f"{count} {split}" for split, count in self.observations.items()) or "none is labelled"
        lines = [f"{self.split_id}: observations: {sides}; hashed {self.hashed} images now"]
        if self.not_hashed:
            lines.append(f"{self.not_hashed} images could not be hashed and are not compared: see ingest_issues")
        if self.pairs:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.held_out_images.items())
            lines.append(f"held-out photographs with a counterpart in training: {kinds}")
            lines += [_words(pair) for pair in self.first_pairs]
            lines += self._remedies()
        else:
            lines.append("no held-out photograph has a counterpart in training")
        lines += [
            f"{shared.kind} (no leakage by itself): {shared.held_out_count} photographs of {shared.split} and "
            f"{shared.training_count} of train share {shared.origin_count}; split_by = "
            f'"{shared.kind.removeprefix("same_")}" parts them'
            for shared in self.shared_origins
        ]
        return lines

    def _remedies(self) -> list[str]:
        remedies = []
        if "same_bytes" in self.pairs:
            remedies.append("same_bytes: training leaves these out by itself")
        if "same_observation" in self.pairs:
            remedies.append(
                "same_observation: photographs that the source holds out came after their observation had its place; "
                "another seed makes a new split, in which the source's word holds"
            )
        if "near_duplicate" in self.pairs and self.split_by != "near_duplicate":
            remedies.append(
                'near_duplicate: set split_by = "near_duplicate" in taxalake.toml (TAXALAKE_SPLIT_BY) and train again; '
                "they then stand on one side"
            )
        elif "near_duplicate" in self.pairs:
            remedies.append(
                "near_duplicate: these are sides that the source gives, or photographs that came after the ones "
                "beside them had their place"
            )
        return remedies


@flow(name="audit-leakage")
def audit_leakage(dataset: str, split_by: str | None = None, home: Path | None = None) -> AuditReport:
    """Look for held-out photographs that are learnt from in another guise.

    Args:
        dataset: The data set.
        split_by: observation, author, base_quadrat or near_duplicate: what the split in question may not part.
        home: The place's home.
    """
    place = settings.load(home=home, split_by=split_by)
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    image_count = embeddings.require_dataset(lake, dataset)
    hashed = ensure_hashed(place, dataset, run_id)
    recipe = place.split_recipe
    split_id = recipe.split_id(dataset)
    assigned = splits.assign(lake, dataset, recipe, run_id)
    leaking = splits.leakage(lake, dataset, split_id)
    origins = [SharedOrigins(**row) for row in splits.shared_origins(lake, dataset, split_id).to_pylist()]
    # Why an image could not be hashed is a row as well.
    written = hashed.image_count + len(hashed.failed) + assigned.row_count
    if written:
        reused = image_count - hashed.image_count - len(hashed.failed)
        ledger.record_stage(
            lake, run_id, "audit", dataset, written, reused, clock.seconds, hashed.byte_count, hashed.image_count
        )
    report = AuditReport(
        dataset=dataset,
        split_id=split_id,
        split_by=recipe.group_by,
        observations=splits.side_sizes(lake, split_id),
        pairs=_by_kind(leaking),
        held_out_images=_by_kind(leaking.group_by(["kind", "held_out_image"], use_threads=False).aggregate([])),
        first_pairs=[LeakingPair(**row) for row in leaking.slice(0, SHOWN).to_pylist()],
        shared_origins=origins,
        hashed=hashed.image_count,
        not_hashed=len(hashed.failed),
        snapshots={
            snapshot.table: snapshot.version
            for snapshot in tables.latest(lake, "image_records", "splits", "perceptual_hashes")
        },
        committed=bool(written),
    )
    return told(report)


def ensure_hashed(place: settings.Settings, dataset: str, run_id: str) -> Hashed:
    """Give the images of a data set that have none their perceptual hash."""
    waiting = len(near_duplicates.pending(place.lake, dataset))
    if not waiting:
        return Hashed(0, 0, ())
    with (
        progress(f"hash {dataset}", waiting, "images") as advance,
        ThreadPoolExecutor(place.threads) as pool,
    ):
        hashed: Hashed = run_task(hash_task, place.lake, dataset, pool, run_id, advance)
    if hashed.failed:
        say(f"{len(hashed.failed)} images of {dataset!r} could not be hashed: see ingest_issues")
    return hashed


def _by_kind(rows: pa.Table) -> dict[str, int]:
    """Count the rows of each kind; the kinds in the order in which they come, which one thread alone keeps."""
    counts = rows.group_by("kind", use_threads=False).aggregate([([], "count_all")])
    return dict(zip(counts["kind"].to_pylist(), counts["count_all"].to_pylist(), strict=True))


def _words(pair: LeakingPair) -> str:
    bits = "" if pair.distance is None else f" ({pair.distance} bits)"
    others = f" and {pair.training_count - 1} more" if pair.training_count > 1 else ""
    return f"  {pair.kind}{bits}: {pair.held_out_image} of {pair.split}, {pair.training_image}{others} of train"
