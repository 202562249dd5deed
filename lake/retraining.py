"""What has changed since a model learnt, and the record of who took whose place. Versions are names here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake import drift, embeddings, evaluations, query, tables
from lake.decisions import Decision, Scope
from lake.drift import Drift
from lake.errors import LakeError, NothingLabelledError
from lake.labels import TrainingExamples
from lake.schemas import TABLES
from lake.scoring import Comparison
from lake.tables import Lake, Snapshot

PROMOTE, ROLLBACK = "promote", "rollback"
_LISTED = 20  # species that a record names
_MOST_VECTORS = 5000  # of each side: more say nothing new of where a cloud lies


@dataclass(frozen=True)
class Threshold:
    """From when on what has changed is worth a training."""

    labels: int = 10  # that came, changed or went
    drift: float = 0.05  # which the lower end of the range has to pass
    days: float | None = None  # an older champion is trained anew for any change


@dataclass(frozen=True)
class Signals:
    """What has changed since the last version of a model that was judged."""

    since: str  # that version, NAME/VERSION
    new_observations: int
    relabelled: int
    withdrawn: int
    new_species: tuple[str, ...]
    drift: Drift | None  # of the photographs that came; None where none did
    age_days: float  # of the champion

    @property
    def labels(self) -> int:
        """Observations whose label came, changed or went."""
        return self.new_observations + self.relabelled + self.withdrawn

    @property
    def words(self) -> str:
        """The signals for people."""
        said = [
            f"{self.new_observations} new observations",
            f"{self.relabelled} relabelled",
            f"{self.withdrawn} withdrawn",
            f"{len(self.new_species)} new species",
        ]
        if self.drift is not None:
            said.append(f"drift {self.drift.value:.3f} ({self.drift.low:.3f} to {self.drift.high:.3f})")
        return f"since {self.since}: {', '.join(said)}; the champion is {self.age_days:.1f} days old"

    @property
    def record(self) -> dict[str, object]:
        """The signals as a table holds them."""
        return {
            "since": self.since,
            "new_observations": self.new_observations,
            "relabelled": self.relabelled,
            "withdrawn": self.withdrawn,
            "new_species": list(self.new_species[:_LISTED]),
            "new_species_count": len(self.new_species),
            "drift": None if self.drift is None else [self.drift.value, self.drift.low, self.drift.high],
            "age_days": self.age_days,
        }

    def due(self, threshold: Threshold) -> list[str]:
        """Return why a training is worth it, in words; nothing where it is not."""
        reasons = []
        if self.labels >= threshold.labels:
            reasons.append(f"{self.labels} changed labels ({threshold.labels} are worth a training)")
        if self.new_species:
            reasons.append(f"{len(self.new_species)} new species")
        if self.drift is not None and self.drift.low > threshold.drift:
            reasons.append(f"drift of at least {self.drift.low:.3f} ({threshold.drift} is worth a training)")
        if threshold.days is not None and self.age_days >= threshold.days and self.labels:
            reasons.append(f"the champion is {self.age_days:.0f} days old ({threshold.days:.0f} are enough)")
        return reasons


@dataclass(frozen=True)
class Promotion:
    """A version that takes the place of another one."""

    promotion_id: str
    model: str
    kind: str
    from_version: str | None
    to_version: str
    reason: str
    is_done: bool


@dataclass(frozen=True)
class Renewal:
    """Answers that the champion of today has to give anew."""

    dataset: str
    rule_id: str
    rule: str  # canonical JSON
    earlier_id: str | None  # the decision of a champion before it


def signals(
    lake: Lake,
    dataset: str,
    since: str,
    learnt: TrainingExamples | None,
    offered: TrainingExamples,
    embedding_key: str,
    scheme_id: str,
    age_days: float,
) -> Signals:
    """Ask the tables what has changed.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        since: The last version that was judged.
        learnt: What it has learnt from; None where nobody knows.
        offered: What a training would learn from now.
        embedding_key: Under which both have vectors.
        scheme_id: The tiles that are compared.
        age_days: Of the champion.
    """
    frames = {"learnt": _labels_of(learnt), "offered": _labels_of(offered)}
    (changes,) = query.answer(None, "retrain/label_changes", frames=frames).to_pylist()
    return Signals(
        since,
        changes["new_observations"],
        changes["relabelled"],
        changes["withdrawn"],
        tuple(changes["new_species"]),
        _drift(lake, dataset, learnt, embedding_key, scheme_id),
        age_days,
    )


def promotions(lake: Lake, model: str) -> list[Promotion]:
    """Return the promotions and rollbacks of a model, oldest first."""
    (seen,) = tables.latest(lake, "promotions")
    return _promotions(lake, model, seen)


def intend(
    lake: Lake,
    model: str,
    kind: str,
    from_version: str | None,
    to_version: str,
    reason: str,
    judged_on: Snapshot,
    flow_run_id: str,
) -> Promotion:
    """Write down that a version is to become champion, before any alias moves.

    Args:
        lake: The place of the tables.
        model: Its name.
        kind: promote or rollback.
        from_version: The champion, as it was when the other was judged.
        to_version: Who takes its place.
        reason: In words.
        judged_on: The table ``promotions``, when the champion was looked up.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If somebody else has promoted a version of the model since then: who was judged against the champion
            of then has to be judged against the one of now.
    """
    number = len(_promotions(lake, model, judged_on))
    promotion_id = tables.digest([model, kind, from_version, to_version, number])
    row = _step(promotion_id, "intended", model, kind, from_version, to_version, reason, flow_run_id)

    def plan(snapshot: Snapshot) -> pa.Table:
        since = _promotions(lake, model, snapshot)[number:]
        others = [one for one in since if one.promotion_id != promotion_id]
        if others:
            raise LakeError(
                f"{to_version} was to take the place of {from_version}, but since it was judged "
                f"{others[-1].to_version} has become champion of {model!r} ({others[-1].kind}): run again to judge it "
                f"against that one"
            )
        return _rows([] if since else [row])

    tables.append_planned(lake, "promotions", plan)
    return Promotion(promotion_id, model, kind, from_version, to_version, reason, is_done=False)


def conclude(lake: Lake, promotion: Promotion, flow_run_id: str) -> bool:
    """Write down that all aliases of a promotion have moved, once; say whether that is news."""
    row = _step(
        promotion.promotion_id,
        "done",
        promotion.model,
        promotion.kind,
        promotion.from_version,
        promotion.to_version,
        promotion.reason,
        flow_run_id,
    )
    return tables.append(lake, "promotions", _rows([row])).row_count > 0


def renewals(lake: Lake, model: str, champion: str) -> list[Renewal]:
    """Return what champions of a model have answered and the champion of today has not, or not all of it."""
    seen = tables.latest(lake, "decisions", "promotions", "image_records")
    rows = query.answer(lake, "retrain/answers_to_renew", seen, model=model, champion=champion).to_pylist()
    return [Renewal(**row) for row in rows]


def species_recalls(lake: Lake, evaluation_id: str) -> dict[str, tuple[float, int]]:
    """Return of each species the recall in an evaluation, and how many observations held it."""
    (seen,) = tables.latest(lake, "evaluations")
    rows = query.answer(lake, "retrain/species_recalls", [seen], evaluation_id=evaluation_id).to_pylist()
    return {row["species_id"]: (row["recall"], row["support"]) for row in rows}


def photographs_to_time(lake: Lake, scope: Scope, most: int) -> list[bytes]:
    """Return a few photographs of what is scored, the same ones each time."""
    records, images = tables.latest(lake, "image_records", "images")
    frames = {"scope": scope.observations}
    rows = query.answer(lake, "retrain/photographs_to_time", [records], frames, dataset=scope.dataset, most=most)
    return list(embeddings.images_of(lake, images, rows["image_id"].to_pylist()).values())


def compare_as_it_was(
    lake: Lake, champion: Decision, challenger: Decision, species_count: int, snapshots: dict[str, int]
) -> Comparison | None:
    """Compare two answers by the labels that the champion was made with; None where none of them are of that time.

    Args:
        lake: The place of the tables.
        champion: Its answers.
        challenger: The other's, to the same observations.
        species_count: How many species the models know; of two the larger number.
        snapshots: The tables that the champion has learnt from, at their versions.
    """
    at: dict[str, int] = {name: snapshots[name] for name in ("labels", "taxon_changes") if name in snapshots}
    if "labels" not in at:
        return None
    try:
        return evaluations.compare(lake, champion, challenger, species_count, at)[0]
    except NothingLabelledError:
        return None


def _labels_of(examples: TrainingExamples | None) -> pa.Table:
    observations, species = ([], []) if examples is None else (examples.observation_ids, examples.species_ids)
    return pa.table(
        {"observation_id": pa.array(observations, pa.string()), "species_id": pa.array(species, pa.string())}
    )


def _drift(
    lake: Lake, dataset: str, learnt: TrainingExamples | None, embedding_key: str, scheme_id: str
) -> Drift | None:
    """Hold the photographs that came against those that were learnt from; None where there are none."""
    if learnt is None:
        return None
    then = next(snapshot for snapshot in learnt.snapshots if snapshot.table == "image_records")
    now, vectors = tables.latest(lake, "image_records", "embeddings")
    if then.version == now.version:
        return None
    ids = [
        query.answer(lake, "retrain/images_of_dataset", [seen], dataset=dataset)["image_id"].to_pylist()
        for seen in (then, now)
    ]
    known = set(ids[0])
    came = [image_id for image_id in ids[1] if image_id not in known][:_MOST_VECTORS]
    if not came:
        return None
    usual = list(dict.fromkeys(learnt.image_ids))[:_MOST_VECTORS]

    def cloud(image_ids: list[str]) -> NDArray[np.float32]:
        return embeddings.read_vectors(lake, vectors, embedding_key, scheme_id, image_ids, ["cls"]).poolings["cls"]

    return drift.between(cloud(usual), cloud(came))


def _promotions(lake: Lake, model: str, seen: Snapshot) -> list[Promotion]:
    rows = query.answer(lake, "retrain/promotion_steps", [seen], model=model).to_pylist()
    return [
        Promotion(
            row["promotion_id"],
            model,
            row["kind"],
            row["from_version"],
            row["to_version"],
            row["reason"],
            row["is_done"],
        )
        for row in rows
    ]


def _step(
    promotion_id: str,
    step: str,
    model: str,
    kind: str,
    from_version: str | None,
    to_version: str,
    reason: str,
    flow_run_id: str,
) -> dict[str, object]:
    return {
        "promotion_id": promotion_id,
        "step": step,
        "model": model,
        "kind": kind,
        "from_version": from_version,
        "to_version": to_version,
        "reason": reason,
        "recorded_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }


def _rows(rows: Sequence[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES["promotions"].columns)
