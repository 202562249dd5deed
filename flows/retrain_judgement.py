"""Champion and challenger on the same held-out observations: by the same tables, the same SQL, in the same minutes."""

import json
from typing import TYPE_CHECKING, Any

from flows import settings
from flows.evaluate import EvaluateReport, evaluate
from flows.orchestration import run_subflow
from flows.predict import tilings_of
from lake import decisions, evaluations, labels, retraining, tables
from lake.decisions import Decision
from lake.scoring import Comparison
from modeling import promotion
from modeling.promotion import Gain, Probe, PromotionRule, Standing, Verdict

if TYPE_CHECKING:
    from modeling.registry import Registry, Version

_TIMED = 4  # photographs that both models are timed on


def judged(
    place: settings.Settings,
    registry: "Registry",
    dataset: str,
    before: "Version | None",
    candidate: "Version",
    backbone: str | None,
) -> tuple[Verdict, dict[str, EvaluateReport]]:
    """Score champion and challenger, and judge.

    Args:
        place: Settings.
        registry: Where both are.
        dataset: The data set.
        before: The champion; None where there is none.
        candidate: The challenger. Its split says which observations are held out: observations keep their sides.
        backbone: Where their backbone is now, if not where it was in training.

    Returns:
        The verdict, and the scores by model version.
    """
    lake = place.lake
    # Both are scored by the tables as they are now, whatever is committed meanwhile.
    frozen = {snapshot.table: snapshot.version for snapshot in tables.latest(lake, *labels.EXAMPLE_TABLES)}

    def score(version: "Version") -> EvaluateReport:
        return run_subflow(
            evaluate,
            dataset,
            version.model_version,
            tilings_of(version),
            decisions.usual_kind(lake, dataset, "whole"),
            home=place.home,
            split_id=candidate.tags["split_id"],
            at=frozen,
        )

    if before is None:
        alone = score(candidate)
        return promotion.first(alone.metrics), {candidate.model_version: alone}
    ours, theirs = score(before), score(candidate)
    champion, challenger = (decisions.find(lake, report.decision_id) for report in (ours, theirs))
    species_count = max(int(version.tags["species"]) for version in (before, candidate))
    now, _ = evaluations.compare(lake, champion, challenger, species_count, frozen)
    learnt_at = json.loads(before.tags.get("snapshots", "{}"))
    then = retraining.compare_as_it_was(lake, champion, challenger, species_count, learnt_at)
    metric = promotion.deciding(ours.metrics, theirs.metrics)
    seconds = _seconds(place, registry, champion, [before, candidate], candidate, backbone)

    def standing(report: EvaluateReport, answers: Decision, spent: float | None) -> Standing:
        return Standing(
            report.metrics,
            retraining.species_recalls(lake, report.evaluation_id),
            evaluations.calibration_error(lake, answers, frozen),
            spent,
        )

    verdict = promotion.judge(
        standing(ours, champion, seconds[0]),
        standing(theirs, challenger, seconds[1]),
        _gain(now, metric, f"{theirs.observations} observations of the {theirs.split} side"),
        theirs.without_looking or {"a blind draw": theirs.chance},
        Probe(candidate.tags.get("probe", "never tried"), candidate.tags.get("probe_passed") == "true"),
        None if then is None else _gain(then, metric),
        PromotionRule(
            place.min_gain, place.min_support, place.max_recall_loss, place.max_calibration_loss, place.max_slowdown
        ),
    )
    return verdict, {before.model_version: ours, candidate.model_version: theirs}


def _gain(comparison: Comparison, metric: str, judged_on: str = "") -> Gain:
    one = next(one for one in comparison.differences if one.metric == metric)
    return Gain(metric, one.a, one.b, one.low, one.high, judged_on)


def _seconds(
    place: settings.Settings,
    registry: "Registry",
    answered: Decision,
    rivals: "list[Version]",
    candidate: "Version",
    backbone: str | None,
) -> list[float] | list[None]:
    """Time the models as any program has them: from the registry, photographs to names."""
    from modeling.latency import seconds_each

    photographs = retraining.photographs_to_time(place.lake, answered.scope, _TIMED)
    if not photographs:
        return [None] * len(rivals)

    def of(version: "Version") -> Any:
        # What is said of the new one's backbone holds for another only where it has learnt from the same vectors.
        is_alike = version.tags["embedding_key"] == candidate.tags["embedding_key"]
        device = None if place.device == "auto" else place.device
        model = registry.model(version, backbone if is_alike else None, device)
        return lambda some: model.predict(some, params={"tiling": tilings_of(version), "top_k": 1})

    return seconds_each([of(version) for version in rivals], photographs)
