"""Stored decisions, scored again under other labels, and held against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from lake import decisions, evaluations, ledger, scoring
from lake.decisions import Decision
from modeling.errors import ModelingError

if TYPE_CHECKING:
    from modeling.registry import Registry


class ScoreReport(BaseModel):
    """The scores of a stored decision."""

    decision_id: str
    dataset: str
    split: str
    model_version: str
    metrics: dict[str, float]
    ranges: dict[str, tuple[float | None, float | None]]
    observations: int
    evaluation_id: str
    metric_version: str
    snapshots: dict[str, int]
    learnt: int  # of these observations the model has learnt from so many
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        again = "" if self.committed else " (scored before, nothing new)"
        return [
            f"decision {self.decision_id} of {self.model_version} on {self.dataset} ({self.split}), "
            f"{self.observations} observations, metrics {self.metric_version}{again}:",
            *(
                [f"the model has learnt from {self.learnt} of them: these scores are too good to be true"]
                if self.learnt
                else []
            ),
            *(f"  {metric:27} {value:9.4f}{_range(*self.ranges[metric])}" for metric, value in self.metrics.items()),
        ]


class DifferenceReport(BaseModel):
    """A metric of two decisions."""

    metric: str
    a: float
    b: float
    difference: float  # what b has more
    low: float | None
    high: float | None
    is_real: bool  # the range leaves out zero


class CompareReport(BaseModel):
    """Whether one decision is better than another one."""

    decision_a: str
    decision_b: str
    observations: int
    better: int  # observations that b answers better
    worse: int
    same: int
    differences: list[DifferenceReport]

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [
            f"{self.decision_b} against {self.decision_a} on {self.observations} observations: "
            f"better on {self.better}, worse on {self.worse}, the same on {self.same}"
        ]
        for one in self.differences:
            verdict = "more than chance" if one.is_real else "may be chance"
            gain = f"{one.difference:+.4f}{_range(one.low, one.high)}"
            lines.append(f"  {one.metric} {one.a:.4f} to {one.b:.4f}: {gain}, {verdict}")
        return lines


@flow(name="score")
def score(decision: str, home: Path | None = None, at: dict[str, int] | None = None) -> ScoreReport:
    """Score a stored decision again, under the labels, species and taxonomy of today or of another day.

    Args:
        decision: Its id; the first signs will do.
        home: The place's home.
        at: Versions that are to hold of labels, species, taxon_changes, image_records or splits.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    found = decisions.find(lake, decision)
    registry = Registry(place.registry_uri, place.artifacts)
    learnt_from, species_count = _training(registry, found)
    scores = evaluations.evaluate(lake, found, species_count, run_id, learnt_from, at)
    if scores.committed:
        ledger.record_stage(lake, run_id, "score", found.scope.dataset, len(scores.metrics), 0, clock.seconds)
    report = ScoreReport(
        decision_id=found.decision_id,
        dataset=found.scope.dataset,
        split=found.scope.split,
        model_version=found.model_version,
        metrics=scores.metrics,
        ranges={metric: scores.range_of(metric) for metric in scores.metrics},
        observations=scores.observation_count,
        evaluation_id=scores.evaluation_id,
        metric_version=scoring.metric_version(),
        snapshots={snapshot.table: snapshot.version for snapshot in scores.snapshots},
        learnt=scores.learnt_count,
        committed=scores.committed,
    )
    return told(report)


def versions(said: Sequence[str]) -> dict[str, int]:
    """Return the versions of tables that are asked for, as ``labels@5``.

    Raises:
        SettingsError: If one is not said so.
    """
    found = {}
    for one in said:
        table, at, version = one.partition("@")
        if not (at and version.isdecimal()):
            raise settings.SettingsError(f"{one!r} names no table at a version, as labels@5 does")
        found[table] = int(version)
    return found


def compare(place: settings.Settings, decision_a: str, decision_b: str) -> CompareReport:
    """Say whether a decision is better than another one by more than chance. Writes nothing.

    Args:
        place: Settings.
        decision_a: The id of the one; the first signs will do.
        decision_b: Of the other.
    """
    from modeling.registry import Registry

    lake = place.lake
    a, b = decisions.find(lake, decision_a), decisions.find(lake, decision_b)
    registry = Registry(place.registry_uri, place.artifacts)
    species_count = max(_training(registry, one)[1] for one in (a, b))
    comparison, count = evaluations.compare(lake, a, b, species_count)
    return CompareReport(
        decision_a=a.decision_id,
        decision_b=b.decision_id,
        observations=count,
        better=comparison.better,
        worse=comparison.worse,
        same=comparison.same,
        differences=[
            DifferenceReport(
                metric=one.metric,
                a=one.a,
                b=one.b,
                difference=one.difference,
                low=one.low,
                high=one.high,
                is_real=one.is_real,
            )
            for one in comparison.differences
        ],
    )


def _training(registry: "Registry", decision: Decision) -> tuple[tuple[str, str] | None, int]:
    """Return what the model of a decision has learnt from, and how many species it knows.

    Of several models together it is the first that says so; of a model that is no longer registered nobody knows what
    it has learnt from, and its species are those that it answered.
    """
    name = decision.model_version.split("+")[0].split(":")[0]
    try:
        version = registry.find(name)
    except ModelingError:
        return None, len(set(decision.answers["species_id"].to_pylist()))
    learnt_from = (version.tags["dataset"], version.tags["split_id"]) if "split_id" in version.tags else None
    return learnt_from, int(version.tags["species"])


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
