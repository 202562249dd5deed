"""What has changed since a model learnt, and the record of who took whose place. Versions are names here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lake import drift, embeddings, evaluations, query, submissions, tables
from lake.decisions import Decision, Scope
from lake.drift import Drift
from lake.errors import LakeError, NothingLabelledError
from lake.labels import TrainingExamples
from lake.schemas import TABLES
from lake.scoring import Comparison
from lake.tables import Lake, Snapshot

PROMOTE, ROLLBACK = "promote", "rollback"
_LISTED = 20  # species that a record names
_MOST_OBSERVATIONS = 5000  # of each side: more say nothing new of where a cloud lies
_AT_ONCE = 1000  # photographs whose vectors are read at a time: of many tiles they are large


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
    intended_at: datetime
    is_done: bool  # carried out to the end, or given up


@dataclass(frozen=True)
class Renewal:
    """Answers that the champion of today has to give anew."""

    dataset: str
    rule_id: str
    rule: str  # canonical JSON
    earlier_id: str | None  # the decision of a champion before it


@dataclass(frozen=True)
class ChangedAnswers:
    """How the answers to the same observations differ."""

    observations: int
    changed: int
    mean_jaccard: float | None  # species in both over species in either (Jaccard 1901); None without observations
    gained: dict[str, int]  # species_id to observations, the most first
    lost: dict[str, int]


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
            of then has to be judged against the one of now. Or if another promotion is not carried out yet.
    """
    number = len(_promotions(lake, model, judged_on))
    promotion_id = tables.digest([model, kind, from_version, to_version, number])
    made = Promotion(promotion_id, model, kind, from_version, to_version, reason, datetime.now(UTC), is_done=False)

    def plan(snapshot: Snapshot) -> pa.Table:
        there = _promotions(lake, model, snapshot)
        since = there[number:]
        others = [one for one in since if one.promotion_id != promotion_id]
        if others:
            raise LakeError(
                f"{to_version} was to take the place of {from_version}, but since it was judged "
                f"{others[-1].to_version} has become champion of {model!r} ({others[-1].kind}): run again to judge it "
                f"against that one"
            )
        begun = [one for one in there if not one.is_done and one.promotion_id != promotion_id]
        if begun:
            raise LakeError(
                f"{to_version} was to take the place of {from_version}, but another run is making "
                f"{begun[0].to_version} champion of {model!r}, or has died while it did: run again, and that comes "
                f"first"
            )
        # Their order is that of their times, whatever the clock says.
        moment = tables.later(one.intended_at for one in there)
        return _rows([] if since else [_step(made, "intended", moment, flow_run_id)])

    tables.append_planned(lake, "promotions", plan)
    return made


def conclude(lake: Lake, promotion: Promotion, flow_run_id: str) -> bool:
    """Write down that all aliases of a promotion have moved, once; say whether that is news."""
    row = _step(promotion, "done", datetime.now(UTC), flow_run_id)
    return tables.append(lake, "promotions", _rows([row])).row_count > 0


def give_up(lake: Lake, promotion: Promotion, flow_run_id: str) -> None:
    """Write down that a promotion cannot be carried out any more."""
    tables.append(lake, "promotions", _rows([_step(promotion, "given up", datetime.now(UTC), flow_run_id)]))


def renewals(lake: Lake, model: str, champion: str) -> list[Renewal]:
    """Return what champions of a model have answered and the champion of today has not, or not all of it."""
    seen = tables.latest(lake, "decisions", "promotions", "image_records")
    rows = query.answer(lake, "retrain/answers_to_renew", seen, model=model, champion=champion).to_pylist()
    return [Renewal(**row) for row in rows]


def changed_answers(lake: Lake, earlier: Decision, now: Decision) -> ChangedAnswers:
    """Hold two answers to a data set against each other, on the observations that both were asked for.

    No answer to one is an answer like another: two empty ones are alike.
    """
    common = earlier.scope.observations.join(now.scope.observations, "observation_id", join_type="inner")
    first, second = (
        answers.filter(pc.is_in(answers["observation_id"], common["observation_id"].combine_chunks()))
        for answers in (submissions.answers_of_decision(earlier), submissions.answers_of_decision(now))
    )
    with query.session(None, frames={"first_answers": first, "second_answers": second, "scope": common}) as ask:
        ask.show("observation_changes", ask.answer("submissions/observation_changes"))
        (totals,) = ask.answer("retrain/answer_changes").to_pylist()
        counts: dict[str, dict[str, int]] = {"gained": {}, "lost": {}}
        for row in ask.answer("submissions/species_changes", most=_LISTED).to_pylist():
            counts[row["change"]][row["species_id"]] = row["observation_count"]
    return ChangedAnswers(
        totals["observations"], totals["changed"], totals["mean_jaccard"], counts["gained"], counts["lost"]
    )


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
    """Hold the observations that came against those that were learnt from; None where they are too few."""
    if learnt is None:
        return None
    then = next(snapshot for snapshot in learnt.snapshots if snapshot.table == "image_records")
    now, vectors = tables.latest(lake, "image_records", "embeddings")
    if then.version == now.version:
        return None
    of_then, of_now = (
        query.answer(lake, "retrain/images_of_dataset", [seen], dataset=dataset).to_pylist() for seen in (then, now)
    )
    known = {row["image_id"] for row in of_then}
    came = [(row["image_id"], row["observation_id"]) for row in of_now if row["image_id"] not in known]
    usual = list(zip(learnt.image_ids, learnt.observation_ids, strict=True))
    if min(len({observation for _, observation in side}) for side in (usual, came)) < drift.LEAST:
        return None
    clouds = [_cloud(lake, vectors, embedding_key, scheme_id, side) for side in (usual, came)]
    return drift.between(clouds[0], clouds[1])


def _cloud(
    lake: Lake, seen: Snapshot, embedding_key: str, scheme_id: str, photographs: Sequence[tuple[str, str]]
) -> NDArray[np.float64]:
    """Return (N, D) mean vectors of observations: photographs of one, and tiles of a photograph, are much alike."""
    chosen = dict.fromkeys(observation for _, observation in photographs)
    rows = {observation: row for row, observation in enumerate(list(chosen)[:_MOST_OBSERVATIONS])}
    row_of = {image: rows[observation] for image, observation in photographs if observation in rows}
    counts = np.zeros(len(rows))
    sums = np.zeros((len(rows), 0))
    images = list(row_of)
    for begin in range(0, len(images), _AT_ONCE):
        some = images[begin : begin + _AT_ONCE]
        found = embeddings.read_vectors(lake, seen, embedding_key, scheme_id, some, ["cls"])
        if found.image_ids:
            at = [row_of[image] for image in found.image_ids]
            sums = sums if sums.shape[1] else np.zeros((len(rows), found.poolings["cls"].shape[1]))
            np.add.at(sums, at, found.poolings["cls"])
            np.add.at(counts, at, 1)
    has_vectors = counts > 0
    means: NDArray[np.float64] = sums[has_vectors] / counts[has_vectors, None]
    return means


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
            row["intended_at"],
            row["is_done"],
        )
        for row in rows
    ]


def _step(promotion: Promotion, step: str, moment: datetime, flow_run_id: str) -> dict[str, object]:
    return {
        "promotion_id": promotion.promotion_id,
        "step": step,
        "model": promotion.model,
        "kind": promotion.kind,
        "from_version": promotion.from_version,
        "to_version": promotion.to_version,
        "reason": promotion.reason,
        "recorded_at": moment,
        "flow_run_id": flow_run_id,
    }


def _rows(rows: Sequence[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES["promotions"].columns)
