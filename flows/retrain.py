"""A season's new data to a better model: embed, train, score both on the same observations, and promote or not."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel

from flows import settings
from flows.evaluate import EvaluateReport, evaluate
from flows.orchestration import flow_run_id, in_flow_run, run_subflow, told
from flows.predict import tilings_of
from flows.train import train
from lake import decisions, ledger
from modeling.promotion import PromotionRule, Verdict, judge
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.registry import Registry, Version


class RetrainReport(BaseModel):
    """What was decided, and why."""

    dataset: str
    model: str
    decision: str  # first, promoted, refused, or nothing new
    reason: str
    champion: str
    challenger: str | None
    scores: dict[str, dict[str, float]]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        return [f"{self.model}: {self.decision}: {self.reason}; the champion is {self.champion}"]


@flow(name="retrain")
def retrain(dataset: str, name: str, backbone: str | None = None, home: Path | None = None) -> RetrainReport:
    """Train on all that is there, as the champion was, and let the new version take its place if it is better.

    Args:
        dataset: The data set.
        name: The registered model's name.
        backbone: Hub name or folder; by default the one that the data set is embedded with.
        home: The place's home.
    """
    from modeling.registry import CHALLENGER, CHAMPION, Registry

    place = settings.load(home=home)
    run_id = flow_run_id()
    registry = Registry(place.registry_uri, place.artifacts)
    before = _holder(registry, name, CHAMPION)
    recipe = None if before is None or "recipe" not in before.tags else Recipe.parse(before.tags["recipe"]).written()
    trained = run_subflow(train, dataset, name, backbone, place.home, recipe)
    candidate = registry.find(trained.model_version)
    if "verdict" in candidate.tags or (before is not None and candidate.number == before.number):
        report = _nothing_new(dataset, registry, candidate)
    else:
        # Before it is judged: a run that dies in between leaves a challenger, and the next run judges it.
        if before is not None:
            candidate = registry.set_alias(candidate, CHALLENGER)
        split_id = trained.split_id
        rivals = [version for version in (before, candidate) if version is not None]
        scores = {version.model_version: _score(place, dataset, version, split_id) for version in rivals}
        verdict = judge(
            None if before is None else scores[before.model_version].metrics,
            scores[candidate.model_version].metrics,
            PromotionRule(place.min_gain),
        )
        report = _carry_out(place, registry, dataset, before, candidate, verdict, scores, run_id)
    if in_flow_run():
        create_markdown_artifact("\n".join(report.lines()), key="retrain", description=f"retrain {name}")
    return told(report)


def _holder(registry: "Registry", name: str, alias: str) -> "Version | None":
    return next((version for version in registry.versions(name) if alias in version.aliases), None)


def _score(place: settings.Settings, dataset: str, version: "Version", split_id: str) -> EvaluateReport:
    """Score a version as it was trained, on the one split that both are judged by."""
    return run_subflow(
        evaluate,
        dataset,
        version.model_version,
        tilings_of(version),
        decisions.usual_kind(place.lake, dataset, "whole"),
        home=place.home,
        split_id=split_id,
    )


def _carry_out(
    place: settings.Settings,
    registry: "Registry",
    dataset: str,
    before: "Version | None",
    candidate: "Version",
    verdict: Verdict,
    scores: dict[str, EvaluateReport],
    run_id: str,
) -> RetrainReport:
    """Record the verdict, then move the alias, then mark the candidate as judged: each step is safe to repeat."""
    from modeling.registry import CHAMPION

    ledger.record_retrain(
        place.lake,
        {
            "flow_run_id": run_id,
            "dataset": dataset,
            "model": candidate.name,
            "champion": None if before is None else before.model_version,
            "challenger": candidate.model_version,
            "metric": verdict.metric,
            "champion_score": verdict.champion_score,
            "challenger_score": verdict.challenger_score,
            "decision": verdict.decision,
            "reason": verdict.reason,
        },
    )
    if verdict.decision != "refused":
        registry.set_alias(candidate, CHAMPION)
    registry.tag(candidate, {"verdict": verdict.decision, "verdict_reason": verdict.reason})
    champion = registry.find(f"{candidate.name}@{CHAMPION}")
    return RetrainReport(
        dataset=dataset,
        model=candidate.name,
        decision=verdict.decision,
        reason=verdict.reason,
        champion=champion.model_version,
        challenger=candidate.model_version,
        scores={version: report.metrics for version, report in scores.items()},
        committed=True,
    )


def _nothing_new(dataset: str, registry: "Registry", candidate: "Version") -> RetrainReport:
    from modeling.registry import CHAMPION

    champion = registry.find(f"{candidate.name}@{CHAMPION}")
    tags = candidate.tags
    judged = f" and judged before ({tags['verdict']}: {tags['verdict_reason']})" if "verdict" in tags else ""
    return RetrainReport(
        dataset=dataset,
        model=candidate.name,
        decision="nothing new",
        reason=f"{candidate.model_version} was trained on exactly this{judged}",
        champion=champion.model_version,
        challenger=None,
        scores={},
        committed=False,
    )
