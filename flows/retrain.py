"""A season's new data to a better model: see what has changed, train, judge on the same observations, promote."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.evaluate import EvaluateReport
from flows.orchestration import flow_run_id, run_subflow, say, told
from flows.predict import tilings_of
from flows.promote import finish, hand_over
from flows.renew import RenewReport, renew_answers
from flows.retrain_judgement import judged
from flows.train import Planned, planned, read_recipe, train
from lake import embeddings, labels, ledger, retraining, tables
from lake.errors import LakeError
from lake.retraining import PROMOTE, Signals, Threshold
from lake.tables import Snapshot
from modeling.errors import ModelingError, ProbeError, RegistryError
from modeling.promotion import Verdict
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.registry import Registry, Version

NOTHING = "nothing to do"


class Outcome(BaseModel):
    """What was decided of one model, and why."""

    dataset: str
    model: str
    decision: str  # first, promoted, refused, overtaken, or nothing to do
    reason: str
    champion: str
    challenger: str | None
    scores: dict[str, dict[str, float]]
    signals: dict[str, object]  # what had changed since the last version that was judged
    checks: list[dict[str, object]]  # what was asked of the challenger: name, passed, words
    renewed: RenewReport | None  # answers that the champion has given anew
    committed: bool

    def lines(self) -> list[str]:
        """The outcome for people."""
        said = [f"{self.model}: {self.decision}: {self.reason}; the champion is {self.champion}"]
        said += [f"  {'passed' if one['passed'] else 'failed'}: {one['words']}" for one in self.checks]
        if self.renewed is not None and (self.renewed.answers or self.renewed.problems):
            said += self.renewed.lines()
        return said


class RetrainReport(BaseModel):
    """What was decided of each model."""

    outcomes: list[Outcome]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.outcomes:
            return [
                "no champion has learnt from this data set: `taxalake train` makes the first one. What came to another "
                "data set than the one that a model has learnt from does not change it"
            ]
        return [line for outcome in self.outcomes for line in outcome.lines()]


@flow(name="retrain")
def retrain(
    dataset: str | None = None,
    name: str | None = None,
    backbone: str | None = None,
    home: Path | None = None,
    anyway: bool = False,
) -> RetrainReport:
    """Where enough has changed, train as the champion was; the new version takes its place if it is better.

    Args:
        dataset: The data set; by default that which each model has learnt from.
        name: The registered model's name; by default every one that has learnt from the data set.
        backbone: Hub name or folder; by default the one that the data set is embedded with.
        home: The place's home.
        anyway: Whether also to train where little has changed.

    Raises:
        ModelingError: If a model could not be retrained; the others were.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    registry, run_id = Registry(place.registry_uri, place.artifacts), flow_run_id()
    outcomes: list[Outcome] = []
    failures: list[Exception] = []
    if dataset is not None:
        # A name that was mistyped is no reason to say that all is well.
        embeddings.require_dataset(place.lake, dataset)
    asked = list(_asked(registry, dataset, name))
    for one_dataset, one in asked:
        try:
            outcomes.append(_retrain(place, registry, one_dataset, one, backbone, anyway, run_id))
        except (LakeError, ModelingError) as error:
            if len(asked) == 1:
                raise
            failures.append(error)
            say(f"{one}: {error}")
    report = told(RetrainReport(outcomes=outcomes, committed=any(outcome.committed for outcome in outcomes)))
    if failures:
        raise ModelingError(
            f"{len(failures)} of {len(asked)} models could not be retrained: {'; '.join(map(str, failures))}"
        ) from failures[0]
    return report


def _asked(registry: "Registry", dataset: str | None, name: str | None) -> Iterator[tuple[str, str]]:
    """Yield the data set and name of each model that is meant."""
    from modeling.registry import CHAMPION

    if dataset is not None and name is not None:
        yield dataset, name
        return
    for one in registry.names() if name is None else [name]:
        champion = registry.holder(one, CHAMPION)
        learnt = None if champion is None else champion.tags.get("dataset")
        if learnt is None and name is not None:
            raise RegistryError(f"nobody knows what {name!r} has learnt from: say --dataset too")
        if learnt is not None and dataset in {None, learnt}:
            yield learnt, one


def _retrain(
    place: settings.Settings,
    registry: "Registry",
    dataset: str,
    name: str,
    backbone: str | None,
    anyway: bool,
    run_id: str,
) -> Outcome:
    """Go through all that retraining one model means. What was done before is found done."""
    from modeling.registry import CHALLENGER

    settings.require_name(name, "model")
    completed = finish(place, registry, name, run_id)
    (judged_on,) = tables.latest(place.lake, "promotions")
    recipe = _recipe_of_champion(registry, name)
    plan = planned(place, registry, dataset, name, read_recipe(recipe, place.seed), backbone, run_id)
    seen = _signals(place, registry, dataset, name, plan)
    due = [] if seen is None else seen.due(_threshold(place))
    reason = _nothing_to_do(place, plan, name, seen, due, anyway)
    if reason:
        return _nothing(place, registry, plan, dataset, name, reason, seen, due, bool(completed), run_id)
    if seen is not None:
        say(f"{name}: {seen.words}; {'; '.join(due) or 'it was asked for anyway'}")
    candidate = _trained(place, registry, dataset, name, backbone, recipe, plan, run_id)
    before = plan.champion
    if before is not None:
        # Before it is judged: a run that dies in between leaves a challenger, and the next run judges it.
        candidate = registry.set_alias(candidate, CHALLENGER)
    verdict, scores = judged(place, registry, dataset, before, candidate, backbone)
    _record(place, dataset, name, before, candidate, verdict, seen, due, scores, run_id)
    if verdict.decision == "promoted":
        try:
            hand_over(place, registry, PROMOTE, before, candidate, verdict.reason, judged_on, run_id)
        except LakeError as error:
            overtaken = replace(verdict, decision="overtaken", reason=str(error))
            _record(place, dataset, name, before, candidate, overtaken, seen, due, scores, run_id)
            raise
    else:
        # The reason first: a verdict says that both are there.
        registry.tag(candidate, {"verdict_reason": verdict.reason, "verdict": verdict.decision})
    return Outcome(
        dataset=dataset,
        model=name,
        decision=verdict.decision,
        reason=verdict.reason,
        champion=registry.find(name).model_version,
        challenger=candidate.model_version,
        scores={version: report.metrics for version, report in scores.items()},
        signals=_signals_record(seen, due),
        checks=[asdict(check) for check in verdict.checks],
        renewed=run_subflow(renew_answers, name, place.home),
        committed=True,
    )


def _nothing_to_do(
    place: settings.Settings, plan: Planned, name: str, seen: Signals | None, due: list[str], anyway: bool
) -> str:
    """Return why no training is worth it, in words; empty where one is."""
    candidate = plan.found
    if candidate is not None and _is_judged(candidate, plan.champion):
        reason = f"{candidate.model_version} was trained on exactly this{_verdict_of(candidate)}"
        # Labels are what a model learns from: what came without one is new to it, and teaches it nothing.
        asked = f"; {'; '.join(due)}: label some of what came (`taxalake review` lists them)" if due else ""
        return reason + asked
    if candidate is not None or anyway:
        return ""
    if seen is not None and not due:
        return f"too little has changed to be worth a training: {seen.words}"
    failed = ledger.retrain_reason(place.lake, _failure_id(name, plan))
    return "" if failed is None else f"a training on exactly this has failed (--anyway tries again): {failed}"


def _failure_id(name: str, plan: Planned) -> str:
    return tables.digest([name, "failed", plan.key])


def _trained(
    place: settings.Settings,
    registry: "Registry",
    dataset: str,
    name: str,
    backbone: str | None,
    recipe: dict[str, Any] | None,
    plan: Planned,
    run_id: str,
) -> "Version":
    """Train, or find what was trained on exactly this; a model that calls species by wrong names is put on record.

    Raises:
        ProbeError: If it does: the same training would end alike, and is not begun again by itself.
    """
    try:
        report = run_subflow(train, dataset, name, backbone, place.home, recipe)
    except ProbeError as error:
        champion = None if plan.champion is None else plan.champion.model_version
        ledger.record_retrain(
            place.lake,
            {
                "retrain_id": _failure_id(name, plan),
                "flow_run_id": run_id,
                "dataset": dataset,
                "model": name,
                "champion": champion,
                "decision": "failed",
                "reason": str(error),
                "signals": "{}",
                "checks": "[]",
            },
        )
        raise
    return registry.find(report.model_version)


def _signals_record(seen: Signals | None, due: list[str]) -> dict[str, object]:
    """Return what has changed and what of it is worth a training, as tables hold it."""
    return {} if seen is None else {**seen.record, "due": due}


def _recipe_of_champion(registry: "Registry", name: str) -> dict[str, Any] | None:
    from modeling.registry import CHAMPION

    champion = registry.holder(name, CHAMPION)
    return (
        None if champion is None or "recipe" not in champion.tags else Recipe.parse(champion.tags["recipe"]).written()
    )


def _threshold(place: settings.Settings) -> Threshold:
    return Threshold(place.retrain_labels, place.retrain_drift, place.retrain_days)


def _is_judged(version: "Version", champion: "Version | None") -> bool:
    return "verdict" in version.tags or (champion is not None and champion.number == version.number)


def _verdict_of(version: "Version") -> str:
    tags = version.tags
    return f" and judged before ({tags['verdict']}: {tags.get('verdict_reason')})" if "verdict" in tags else ""


def _signals(place: settings.Settings, registry: "Registry", dataset: str, name: str, plan: Planned) -> Signals | None:
    """Return what has changed since the last version of the model that was judged; None where there is none yet."""
    if plan.champion is None:
        return None
    judged = [
        version
        for version in registry.versions(name)
        if version.tags.get("dataset") == dataset and _is_judged(version, plan.champion)
    ]
    last = judged[-1] if judged else plan.champion
    inputs = plan.inputs
    learnt = None
    if judged and "snapshots" in last.tags and "split_id" in last.tags:
        at: Mapping[str, int] = json.loads(last.tags["snapshots"])
        seen = [Snapshot(table, at[table]) for table in labels.EXAMPLE_TABLES]
        learnt = labels.training_examples(place.lake, dataset, last.tags["split_id"], seen)
    age = datetime.now(UTC) - plan.champion.created_at
    tiling = tilings_of(plan.champion).split("+")[0]
    return retraining.signals(
        place.lake,
        dataset,
        last.model_version,
        learnt,
        inputs.photographs,
        inputs.used.embedding_key,
        tiling,
        age.total_seconds() / 86_400,
    )


def _nothing(
    place: settings.Settings,
    registry: "Registry",
    plan: Planned,
    dataset: str,
    name: str,
    reason: str,
    seen: Signals | None,
    due: list[str],
    completed: bool,
    run_id: str,
) -> Outcome:
    """Say so, once for the same state of things, and answer what the champion has not answered yet."""
    champion = registry.find(name)
    row = {
        "retrain_id": tables.digest([name, champion.recorded_as, NOTHING, plan.key, due]),
        "flow_run_id": run_id,
        "dataset": dataset,
        "model": name,
        "champion": champion.model_version,
        "decision": NOTHING,
        "reason": reason,
        "signals": tables.canonical_json(_signals_record(seen, due)),
        "checks": "[]",
    }
    news = ledger.record_retrain(place.lake, row).row_count > 0
    renewed = run_subflow(renew_answers, name, place.home)
    return Outcome(
        dataset=dataset,
        model=name,
        decision=NOTHING,
        reason=reason,
        champion=champion.model_version,
        challenger=None,
        scores={},
        signals=_signals_record(seen, due),
        checks=[],
        renewed=renewed,
        committed=news or completed or renewed.committed,
    )


def _record(
    place: settings.Settings,
    dataset: str,
    name: str,
    before: "Version | None",
    candidate: "Version",
    verdict: Verdict,
    seen: Signals | None,
    due: list[str],
    scores: Mapping[str, EvaluateReport],
    run_id: str,
) -> None:
    """Write the verdict down, once for the same models and scores."""
    champion = None if before is None else before.model_version
    evidence = [report.evaluation_id for report in scores.values()]
    ledger.record_retrain(
        place.lake,
        {
            "retrain_id": tables.digest([name, champion, candidate.recorded_as, verdict.decision, evidence]),
            "flow_run_id": run_id,
            "dataset": dataset,
            "model": name,
            "champion": champion,
            "challenger": candidate.model_version,
            "metric": verdict.metric,
            "champion_score": verdict.champion_score,
            "challenger_score": verdict.challenger_score,
            "decision": verdict.decision,
            "reason": verdict.reason,
            "signals": tables.canonical_json(_signals_record(seen, due)),
            "checks": tables.canonical_json([asdict(check) for check in verdict.checks]),
        },
    )
