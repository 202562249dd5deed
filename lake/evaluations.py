"""Decisions against labels: scored, stored, scored again under other labels, and compared with each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from lake import baselines, labels, query, scoring, tables
from lake.decisions import Decision
from lake.errors import LakeError, NothingLabelledError
from lake.labels import TrainingExamples
from lake.rules import ONE
from lake.schemas import TABLES
from lake.scoring import Comparison, Score
from lake.tables import Lake, Snapshot

WITHOUT_LOOKING = "without_looking:"  # begins the slice of a baseline's scores
_READ = ("labels", "taxon_changes", "species", "image_records", "splits")


@dataclass(frozen=True)
class Evaluation:
    """The scores of one decision."""

    evaluation_id: str
    metric_version: str
    metrics: dict[str, float]
    scores: tuple[Score, ...]  # of everything and of every slice, with their ranges
    chance: dict[str, float]
    beside: dict[str, dict[str, float]]  # the same metrics of answers that never look at a photograph
    observation_count: int
    truth: pa.Table  # observation_id, species_id
    answers: pa.Table  # as decided, in the taxonomy of the truth
    species: pa.Table  # what is known of every species
    train_counts: pa.Table  # species_id, train_count: observations
    learnt_count: int  # scored observations that the model has learnt from
    snapshots: tuple[Snapshot, ...]
    committed: bool

    def range_of(self, metric: str) -> tuple[float | None, float | None]:
        """Return the range of a metric of everything that 95 of 100 resamples give."""
        return next((score.low, score.high) for score in self.scores if (score.metric, score.slice) == (metric, "all"))


@dataclass(frozen=True)
class _Scored:
    """A decision beside the truth, both in one taxonomy."""

    truth: pa.Table
    answers: pa.Table
    facts: pa.Table
    species: pa.Table
    snapshots: tuple[Snapshot, ...]


def evaluate(
    lake: Lake,
    decision: Decision,
    species_count: int,
    flow_run_id: str,
    trained_on: tuple[str, str] | None = None,
    at: Mapping[str, int] | None = None,
) -> Evaluation:
    """Score a decision against labels and store the scores, once. An observation without an answer is a miss.

    Args:
        lake: The place of the tables.
        decision: What is scored.
        species_count: How many species its model knows, for the chance level and for one of the class sets.
        flow_run_id: The flow run that writes.
        trained_on: Data set and split that the model has learnt from: what is known there is enough for answers that
            never look at a photograph, which are scored beside it; None where nobody knows.
        at: Versions of ``labels``, ``taxon_changes``, ``species``, ``image_records`` or ``splits`` that are to hold;
            of others the newest holds.

    Raises:
        LakeError: If no scored observation is labelled, or holds as many species as the rule says, or there is no such
            table or version.
    """
    seen = _scored(lake, decision, at or {})
    is_one = decision.species == ONE
    examples = None if trained_on is None else _examples(lake, *trained_on, seen.snapshots)
    learnt = _train_counts(examples)
    is_own = trained_on is not None and trained_on[0] == decision.scope.dataset
    of_training = _observations(examples) if is_own and examples is not None else set[str]()
    found = scoring.scores(
        seen.truth,
        seen.answers,
        seen.facts,
        _kind(decision),
        seen.species,
        learnt,
        species_count,
    )
    metrics = {score.metric: score.value for score in found if score.slice == scoring.ALL}
    beside: dict[str, dict[str, float]] = {}
    if is_one and examples is not None:
        scope = decision.scope
        beside = baselines.of_observations(
            lake, scope.dataset, scope.observations, seen.truth, examples, seen.snapshots
        )
    blind = query.answer(
        None,
        "evaluate/chance_level",
        frames={"truth": seen.truth, "answers": seen.answers},
        species_count=species_count,
    )
    chance = {row["metric"]: float(row["value"]) for row in blind.to_pylist() if row["metric"] in metrics}
    version = scoring.metric_version()
    said = [(one.metric, one.slice, one.value, one.count) for one in found]
    evaluation_id = tables.digest(
        [decision.decision_id, version, tables.digest(seen.truth.to_pylist()), repr((said, beside))]
    )
    count = len(set(seen.truth["observation_id"].to_pylist()))
    slices = [
        *found,
        *(
            Score(metric, f"{WITHOUT_LOOKING}{who}", value, None, None, count)
            for who, values in beside.items()
            for metric, value in values.items()
        ),
    ]
    constants = {
        "evaluation_id": evaluation_id,
        "metric_version": version,
        "decision_id": decision.decision_id,
        "dataset": decision.scope.dataset,
        "split": decision.scope.split,
        "model_version": decision.model_version,
        "snapshots": tables.describe(seen.snapshots),
        "evaluated_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    rows = [
        {
            **constants,
            "metric": one.metric,
            "slice": one.slice,
            "value": one.value,
            "ci_low": one.low,
            "ci_high": one.high,
            "observation_count": one.count,
        }
        for one in slices
    ]
    done = tables.append(lake, "evaluations", pa.Table.from_pylist(rows, schema=TABLES["evaluations"].columns))
    return Evaluation(
        evaluation_id=evaluation_id,
        metric_version=version,
        metrics=metrics,
        scores=tuple(found),
        chance=chance,
        beside=beside,
        observation_count=count,
        truth=seen.truth,
        answers=seen.answers,
        species=seen.species,
        train_counts=learnt,
        learnt_count=len(of_training & set(seen.truth["observation_id"].to_pylist())),
        snapshots=seen.snapshots,
        committed=done.row_count > 0,
    )


def compare(
    lake: Lake, a: Decision, b: Decision, species_count: int, at: Mapping[str, int] | None = None
) -> tuple[Comparison, int]:
    """Say whether a decision is better than another one, on the labelled observations that both have answered.

    Args:
        lake: The place of the tables.
        a: The one.
        b: The other.
        species_count: How many species their models know; of two the larger number.
        at: Versions of tables that are to hold, as in ``evaluate``.

    Returns:
        The comparison, and how many observations it is of.

    Raises:
        NothingLabelledError: If no observation of either is labelled.
        LakeError: If they are of different data sets or kinds, or have no labelled observation in common.
    """
    if (a.scope.dataset, a.species) != (b.scope.dataset, b.species):
        raise LakeError(
            f"{a.decision_id} answers {a.scope.dataset!r} with {a.species} species and {b.decision_id} "
            f"{b.scope.dataset!r} with {b.species}: two decisions are compared on the same observations"
        )
    of_a, of_b = _scored(lake, a, at or {}), _scored(lake, b, at or {})
    common = set(of_a.truth["observation_id"].to_pylist()) & set(of_b.truth["observation_id"].to_pylist())
    if not common:
        raise NothingLabelledError(f"{a.decision_id} and {b.decision_id} have no labelled observation in common")
    ids = pa.table({"observation_id": pa.array(sorted(common), pa.string())})
    truth = of_a.truth.join(ids, "observation_id", join_type="inner").sort_by(
        [("observation_id", "ascending"), ("species_id", "ascending")]
    )
    found = scoring.compare(truth, of_a.answers, of_b.answers, of_a.facts, _kind(a), of_a.species, species_count)
    return found, len(common)


def calibration_error(lake: Lake, decision: Decision, at: Mapping[str, int] | None = None) -> float | None:
    """Return how far the probabilities of one-species answers are from how often they are right, 0 to 1.

    None where answers have no probability: of many species a score may be anything, and so may it where a rule pools
    by another way than the mean.
    """
    if decision.species != ONE or not decision.answers.num_rows:
        return None
    scores = decision.answers["score"].to_numpy()
    if scores.min() < 0 or scores.max() > 1 + 1e-6:
        return None
    seen = _scored(lake, decision, at or {})
    frames = {"truth": seen.truth, "answers": seen.answers}
    found = query.answer(None, "retrain/calibration_error", frames=frames)
    error: float | None = found["calibration_error"][0].as_py()
    return error


def _kind(decision: Decision) -> scoring.Kind:
    return "one" if decision.species == ONE else "many"


def _scored(lake: Lake, decision: Decision, at: Mapping[str, int]) -> _Scored:
    unknown = sorted(set(at) - set(_READ))
    if unknown:
        raise LakeError(f"scores do not hang on {', '.join(unknown)}, but on {', '.join(_READ)}")
    newest = tables.latest(lake, *_READ)
    snapshots = tuple(Snapshot(one.table, at.get(one.table, one.version)) for one in newest)
    given, changes, species, records, _ = snapshots
    scope = decision.scope
    current = labels.current(lake, scope.dataset, (given, changes))
    question = "evaluate/single_truth" if decision.species == ONE else "evaluate/truth"
    truth = query.answer(None, question, frames={"current_labels": current, "scope": scope.observations})
    if not truth.num_rows:
        raise NothingLabelledError(
            f"no scored observation of {scope.dataset!r} is labelled with one species alone: say --species many"
            if current.num_rows and decision.species == ONE
            else f"no scored observation of {scope.dataset!r} is labelled"
        )
    # A model that learnt before a species was renamed or merged is not wrong for saying its old name.
    accepted = {"answers": decision.answers, "accepted_species": labels.accepted_species(lake, changes)}
    return _Scored(
        truth,
        query.answer(None, "evaluate/accepted_answers", frames=accepted),
        query.answer(lake, "labels/observation_facts", [records], dataset=scope.dataset),
        query.answer(lake, "labels/current_species", [species]),
        # The decision's own reading of a table that is read again stands with the decision.
        (*(one for one in decision.snapshots if one.table not in _READ), *snapshots),
    )


def _examples(lake: Lake, dataset: str, split_id: str, snapshots: Sequence[Snapshot]) -> TrainingExamples:
    """Return what a model has learnt from, by the tables that the scores read."""
    by_name = {snapshot.table: snapshot for snapshot in snapshots}
    return labels.training_examples(lake, dataset, split_id, [by_name[name] for name in labels.EXAMPLE_TABLES])


def _observations(examples: TrainingExamples) -> set[str]:
    """Return the observations on the training side."""
    return {one for one, side in zip(examples.observation_ids, examples.splits, strict=True) if side == "train"}


def _train_counts(examples: TrainingExamples | None) -> pa.Table:
    """Return species_id, train_count: how many observations a model has learnt of each species."""
    counts: Counter[str] = Counter()
    if examples is not None:
        rows = zip(examples.observation_ids, examples.species_ids, examples.splits, strict=True)
        counts.update(species_id for _, species_id in {row[:2] for row in rows if row[2] == "train"})
    return pa.table(
        {
            "species_id": pa.array(list(counts), pa.string()),
            "train_count": pa.array(list(counts.values()), pa.int64()),
        }
    )
