"""A model's answers against the labels: the held-out observations, scored in SQL."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from flows.predict import predict_tiles, predicted_parts, refuse_beside_rule, rule_of
from lake import decisions, embeddings, evaluations, ledger, sweeps
from lake.rules import MANY
from lake.sweeps import Choice
from modeling.errors import TrainingError
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.registry import Version


class EvaluateReport(BaseModel):
    """Scores of a model on a split, beside what blind answers of the same sizes would score."""

    dataset: str
    split: str
    model_version: str
    scheme_id: str
    rule: dict[str, object]
    priors: list[str]  # what each prior of the rule did
    chosen: Choice | None  # the sweep that chose the rule on observations of these, if one did
    metrics: dict[str, float]
    ranges: dict[str, tuple[float | None, float | None]]  # of 95 of 100 resamples of the observations
    chance: dict[str, float]
    without_looking: dict[str, dict[str, float]]  # what anybody would answer from the labels alone, scored alike
    observations: int
    evaluation_id: str
    decision_id: str
    snapshots: dict[str, int]
    mlflow_run_id: str  # of the model, which keeps the page too
    page: str  # the report, as people look at it; empty where none is written
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        what = "every labelled observation" if self.split == "all" else f"the {self.split} split"
        again = "" if self.committed else " (scored before, nothing new, no backbone was loaded)"
        blind = ", ".join(f"{who} {found['accuracy']:.4f}" for who, found in sorted(self.without_looking.items()))
        return [
            f"{self.model_version} on {what} of {self.dataset}, {self.observations} observations at "
            f"{self.scheme_id}{again}:",
            *(f"  {metric:27} {value:9.4f}{self._beside(metric)}" for metric, value in self.metrics.items()),
            *self.priors,
            *([] if self.chosen is None else [self._optimism(self.chosen)]),
            *([f"accuracy without looking: {blind}"] if blind else []),
            *([f"the report: {self.page}"] if self.page else []),
        ]

    def _optimism(self, chosen: Choice) -> str:
        """Return on how many of the observations the rule was chosen, and what it is worth on others."""
        said = (
            f"the rule was chosen on {chosen.observations} of these observations ({chosen.split}; sweep "
            f"{chosen.sweep_id}, {chosen.model_version.partition(':')[0]}): these scores are too good to be true; "
        )
        metric = usual_metric(str(self.rule["species"]))
        if metric not in chosen.held_out:
            return f"{said}the sweep has no score on observations that it did not choose on"
        low, high = chosen.held_out_ranges[metric]
        within = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
        return (
            f"{said}on {chosen.held_out_observations} that it was not chosen on ({chosen.held_out_on}) {metric} was "
            f"{chosen.held_out[metric]:.4f}{within}"
        )

    def _beside(self, metric: str) -> str:
        """Return the range of a metric and what chance would score."""
        low, high = self.ranges.get(metric, (None, None))
        said = [] if low is None or high is None else [f"{low:.4f} to {high:.4f}"]
        said += [f"chance {self.chance[metric]:.3f}"] if metric in self.chance else []
        return f"  {', '.join(said)}" if said else ""


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
    rule: Path | None = None,
    at: dict[str, int] | None = None,
) -> EvaluateReport:
    """Score a model on the test split of a data set, on val where it has no test, on everything where it has neither.

    Args:
        dataset: The data set.
        model: NAME, NAME@alias or NAME/VERSION.
        tiling: whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB or boxes-NAME, several joined by a plus; those that
            the model has learnt from by default.
        species: one or many species an observation; by default as its labels say.
        min_votes: Tiles that have to agree on a species of a quadrat.
        min_probability: Under which a tile does not vote.
        allow_empty: Whether a quadrat may be answered with no species.
        backbone: Where the model's backbone is now, if not where it was in training.
        home: The place's home.
        split_id: Whose held-out observations are scored; by default that of the model's training.
        rule: A file (TOML) that says how species are decided, in the place of species, votes and probability.
        at: Versions of labels, taxon_changes, species, image_records or splits that are to hold; else the newest hold.
    """
    from modeling.registry import Registry

    place = settings.load(
        home=home, tiling=tiling, min_votes=min_votes, min_probability=min_probability, allow_empty=allow_empty
    )
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    embeddings.require_dataset(lake, dataset)
    refuse_beside_rule(rule, species, min_votes, min_probability, allow_empty)
    chosen = rule_of(place, version, dataset, species, rule, tiling)
    # The split that the model respected in training; that of another data set says nothing of this one.
    own = version.tags["split_id"] if version.tags.get("dataset") == dataset else None
    asked = split_id or own or place.split_recipe.split_id(dataset)
    scope = decisions.scored_scope(lake, dataset, asked)
    require_unseen(version, dataset, asked, scope.split)
    place, parts = predicted_parts(place, version, dataset, chosen)
    predicted = predict_tiles(place, registry, version, scope, backbone, run_id)
    decision = decisions.decide(lake, scope, chosen.tilings, version.recorded_as, chosen, run_id, parts)
    learnt_from = (version.tags["dataset"], version.tags["split_id"]) if "split_id" in version.tags else None
    scores = evaluations.evaluate(lake, decision, int(version.tags["species"]), run_id, learnt_from, at)
    page = None
    if place.reports:
        from flows import evaluation_report

        page = evaluation_report.write(place, version, decision, chosen, parts, scores)
    committed = bool(predicted) or decision.committed or scores.committed
    if page is not None:
        registry.log_report(version, page)
    # MLflow allows no plus in a name.
    named = "" if rule is None else f" {chosen.rule_id}"
    prefix = f"{dataset}.{scope.split}.{chosen.tilings.replace('+', ' ')}{named}"
    # Also when nothing was committed: a run that was killed in between has left them out.
    registry.log_metrics(version, {f"{prefix}.{key}": value for key, value in scores.metrics.items()})
    if committed:
        ledger.record_stage(lake, run_id, "evaluate", dataset, len(scores.metrics), 0, clock.seconds)
    report = EvaluateReport(
        dataset=dataset,
        split=scope.split,
        model_version=version.model_version,
        scheme_id=chosen.tilings,
        rule=chosen.spec,
        priors=[effect.words for effect in decision.effects],
        chosen=sweeps.choice(lake, dataset, chosen.rule_id, scope.split),
        metrics=scores.metrics,
        ranges={metric: scores.range_of(metric) for metric in scores.metrics},
        chance=scores.chance,
        without_looking=scores.beside,
        observations=scores.observation_count,
        evaluation_id=scores.evaluation_id,
        decision_id=decision.decision_id,
        snapshots={snapshot.table: snapshot.version for snapshot in scores.snapshots},
        mlflow_run_id=version.run_id,
        page="" if page is None else str(page),
        committed=committed,
    )
    return told(report)


def usual_metric(species: str) -> str:
    """Return the score that rules for one or many species are judged by where nobody says another one."""
    return "macro_f1_per_observation" if species == MANY else "macro_f1"


def require_unseen(version: "Version", dataset: str, split_id: str, split: str) -> None:
    """Refuse to score a model that has learnt from everything but its own test side on anything else.

    Raises:
        TrainingError: If that is so.
    """
    if version.tags.get("dataset") != dataset or "recipe" not in version.tags:
        return
    is_its_test = split == "test" and split_id == version.tags["split_id"]
    if Recipe.parse(version.tags["recipe"]).refit and not is_its_test:
        raise TrainingError(
            f"{version.model_version} has learnt from all of {dataset!r} but the test side of "
            f"{version.tags['split_id']} (refit), and the {split} side of {split_id} was asked for: train with "
            f"refit = false to score on it"
        )
