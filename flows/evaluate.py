"""A model's answers against the labels: the held-out observations, scored in SQL."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from flows.predict import predict_tiles, rule_of
from lake import decisions, embeddings, ledger


class EvaluateReport(BaseModel):
    """Scores of a model on a split, beside what blind answers of the same sizes would score."""

    dataset: str
    split: str
    model_version: str
    scheme_id: str
    rule: dict[str, object]
    metrics: dict[str, float]
    chance: dict[str, float]
    observations: int
    evaluation_id: str
    decision_id: str
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        scores = ", ".join(
            f"{metric} {value:.4f}" + (f" (chance {self.chance[metric]:.3f})" if metric in self.chance else "")
            for metric, value in self.metrics.items()
        )
        what = "every labelled observation" if self.split == "all" else f"the {self.split} split"
        again = "" if self.committed else " (scored before, nothing new, no backbone was loaded)"
        return [
            f"{self.model_version} on {what} of {self.dataset}, {self.observations} observations at "
            f"{self.scheme_id}{again}: {scores}"
        ]


@flow(name="evaluate")
def evaluate(
    dataset: str,
    model: str,
    tiling: str | None = None,
    species: str | None = None,
    min_votes: int | None = None,
    min_probability: float | None = None,
    allow_empty: bool | None = None,
    backbone: str | None = None,
    home: Path | None = None,
    split_id: str | None = None,
) -> EvaluateReport:
    """Score a model on the test split of a data set, on val where it has no test, on everything where it has neither.

    Args:
        dataset: The data set.
        model: NAME, NAME@alias or NAME/VERSION.
        tiling: whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB or boxes-NAME.
        species: one or many species an observation; by default as its labels say.
        min_votes: Tiles that have to agree on a species of a quadrat.
        min_probability: Under which a tile does not vote.
        allow_empty: Whether a quadrat may be answered with no species.
        backbone: Where the model's backbone is now, if not where it was in training.
        home: The place's home.
        split_id: Whose held-out observations are scored; by default that of the model's training.
    """
    from modeling.registry import Registry

    place = settings.load(
        home=home, tiling=tiling, min_votes=min_votes, min_probability=min_probability, allow_empty=allow_empty
    )
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    embeddings.require_dataset(lake, dataset)
    # The split that the model respected in training; that of another data set says nothing of this one.
    own = version.tags["split_id"] if version.tags.get("dataset") == dataset else None
    asked = split_id or own or place.split_recipe.split_id(dataset)
    scope = decisions.scored_scope(lake, dataset, asked)
    predicted = predict_tiles(place, registry, version, scope, backbone, run_id)
    rule = rule_of(place, dataset, species)
    decision = decisions.decide(lake, scope, place.tiling, version.recorded_as, rule, run_id)
    scores = decisions.evaluate(lake, scope, decision, rule, version.recorded_as, int(version.tags["species"]), run_id)
    committed = bool(predicted) or decision.committed or scores.committed
    prefix = f"{dataset}.{scope.split}.{place.tiling}"
    # Also when nothing was committed: a run that was killed in between has left them out.
    registry.log_metrics(version, {f"{prefix}.{key}": value for key, value in scores.metrics.items()})
    if committed:
        ledger.record_stage(lake, run_id, "evaluate", dataset, len(scores.metrics), 0, clock.seconds)
    report = EvaluateReport(
        dataset=dataset,
        split=scope.split,
        model_version=version.model_version,
        scheme_id=place.tiling,
        rule=rule.spec,
        metrics=scores.metrics,
        chance=scores.chance,
        observations=scores.observation_count,
        evaluation_id=scores.evaluation_id,
        decision_id=decision.decision_id,
        snapshots={snapshot.table: snapshot.version for snapshot in scores.snapshots},
        committed=committed,
    )
    return told(report)
