"""Who is champion: written down before an alias moves, so that a run that dies in between is completed by the next."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.events import emit_event
from pydantic import BaseModel

from flows import settings
from flows.orchestration import flow_run_id, in_flow_run, run_subflow, say, told
from flows.renew import RenewReport, renew_answers
from lake import retraining, tables
from lake.retraining import PROMOTE, ROLLBACK, Promotion
from lake.tables import Snapshot
from modeling.errors import RegistryError

if TYPE_CHECKING:
    from modeling.registry import Registry, Version

PROMOTED = "taxalake.champion.promoted"  # the event


class PromotionReport(BaseModel):
    """Who is champion, and in whose place."""

    model: str
    champion: str
    before: str | None  # the version whose place it took; itself where it was champion already
    reason: str
    renewed: RenewReport | None
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if self.before == self.champion:
            said = f"{self.champion} is the champion already"
        else:
            place = "" if self.before is None else f", in the place of {self.before}"
            said = f"{self.champion} is champion now{place}: {self.reason}"
        if self.renewed is None or not (self.renewed.answers or self.renewed.problems):
            return [said]
        return [said, *self.renewed.lines()]


@flow(name="promote")
def promote(model: str, home: Path | None = None, reason: str = "by hand") -> PromotionReport:
    """Make a version champion, whatever the retraining said of it, and have it answer what champions have answered.

    Args:
        model: NAME/VERSION or NAME@alias, such as NAME@challenger.
        home: The place's home.
        reason: Why, for those who ask later.
    """
    from modeling.registry import CHAMPION, Registry

    place = settings.load(home=home)
    registry, run_id = Registry(place.registry_uri, place.artifacts), flow_run_id()
    version = registry.find(model)
    completed = finish(place, registry, version.name, run_id)
    (judged_on,) = tables.latest(place.lake, "promotions")
    before = registry.holder(version.name, CHAMPION)
    is_news = before is None or before.number != version.number
    if is_news:
        hand_over(place, registry, PROMOTE, before, version, reason, judged_on, run_id)
    # Also where it is champion already: a run that died may have left it with answers to give.
    renewed = run_subflow(renew_answers, version.name, place.home)
    return told(
        PromotionReport(
            model=version.name,
            champion=version.model_version,
            before=None if before is None else before.model_version,
            reason=reason,
            renewed=renewed,
            committed=is_news or bool(completed) or renewed.committed,
        )
    )


@flow(name="rollback")
def rollback(name: str, home: Path | None = None, reason: str = "by hand") -> PromotionReport:
    """Give a model's name back to the version that the champion has replaced.

    A rollback that died is completed, and nothing more.

    Args:
        name: The registered model's name; or NAME/VERSION of the champion that is left, so that the same command twice
            goes back once.
        home: The place's home.
        reason: Why, for those who ask later.

    Raises:
        RegistryError: If another version is champion than was said, the champion has taken nobody's place, or the
            version whose place it took is gone.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    registry, run_id = Registry(place.registry_uri, place.artifacts), flow_run_id()
    asked, name = name, name.partition("/")[0]
    completed = {one.promotion_id for one in finish(place, registry, name, run_id)}
    (judged_on,) = tables.latest(place.lake, "promotions")
    champion = registry.find(name)
    history = retraining.promotions(place.lake, name)
    last = history[-1] if history and history[-1].to_version == champion.recorded_as else None
    if last is not None and last.kind == ROLLBACK:
        left = _number_of(last.from_version)
        pending = retraining.renewals(place.lake, name, champion.recorded_as)
        if asked == left or (asked == name and (last.promotion_id in completed or pending)):
            is_news = last.promotion_id in completed
            say(f"{left} was rolled back to {champion.model_version} before; what was left to do is done")
            return _rolled_back(
                place, champion, left if is_news or pending else champion.model_version, last.reason, is_news
            )
    if asked not in {name, champion.model_version}:
        raise RegistryError(f"{asked} was to be rolled back, and {champion.model_version} is the champion of {name!r}")
    replaced = _replaced_by(history, champion.recorded_as)
    if replaced is None:
        raise RegistryError(
            f"{champion.model_version} has taken nobody's place: there is nothing to roll back to; "
            f"`taxalake promote {name}/VERSION` makes any version champion"
        )
    version = registry.known(name, replaced)
    if version is None:
        raise RegistryError(
            f"{champion.model_version} has taken the place of {_number_of(replaced)}, which is not in the registry any "
            f"more; `taxalake promote {name}/VERSION` makes any version champion"
        )
    hand_over(place, registry, ROLLBACK, champion, version, reason, judged_on, run_id)
    return _rolled_back(place, version, champion.model_version, reason, True)


def _rolled_back(
    place: settings.Settings, version: "Version", before: str | None, reason: str, is_news: bool
) -> PromotionReport:
    renewed = run_subflow(renew_answers, version.name, place.home)
    return told(
        PromotionReport(
            model=version.name,
            champion=version.model_version,
            before=before,
            reason=f"rolled back: {reason}",
            renewed=renewed,
            committed=is_news or renewed.committed,
        )
    )


def _number_of(recorded_as: str | None) -> str | None:
    """Return NAME/VERSION of a version as tables name it."""
    return None if recorded_as is None else recorded_as.partition(":")[0]


def hand_over(
    place: settings.Settings,
    registry: "Registry",
    kind: str,
    before: "Version | None",
    version: "Version",
    reason: str,
    judged_on: Snapshot,
    run_id: str,
) -> None:
    """Write down who takes whose place, and let the aliases follow.

    Args:
        place: Settings.
        registry: Where versions are.
        kind: promote or rollback.
        before: The champion.
        version: Who takes its place.
        reason: In words.
        judged_on: The table ``promotions``, when the champion was looked up.
        run_id: The flow run that writes.

    Raises:
        LakeError: If another run has promoted a version of the model since then.
    """
    holder = None if before is None else before.recorded_as
    intent = retraining.intend(place.lake, version.name, kind, holder, version.recorded_as, reason, judged_on, run_id)
    _carry_out(place, registry, intent, run_id)


def finish(place: settings.Settings, registry: "Registry", name: str, run_id: str) -> list[Promotion]:
    """Complete what a run that died has begun, and return it; what cannot be completed any more is given up."""
    begun = [one for one in retraining.promotions(place.lake, name) if not one.is_done]
    for one in begun:
        if registry.known(name, one.to_version) is None:
            say(f"a run that ended early was about to make {one.to_version} champion, which is gone: given up")
            retraining.give_up(place.lake, one, run_id)
        else:
            say(f"a run that ended early was about to make {one.to_version} champion: completed now")
            _carry_out(place, registry, one, run_id)
    return begun


def _carry_out(place: settings.Settings, registry: "Registry", intent: Promotion, run_id: str) -> None:
    """Move the aliases, mark the versions, tell who listens, and conclude: each step may be done twice."""
    from modeling.registry import CHAMPION, PREVIOUS_CHAMPION

    is_newest = _newest(place, intent.model).promotion_id == intent.promotion_id
    if is_newest:
        version = registry.recorded(intent.model, intent.to_version)
        before = None if intent.from_version is None else registry.known(intent.model, intent.from_version)
        _mark(registry, intent, version, before)
        previous = before
        if intent.kind == ROLLBACK:
            replaced = _replaced_by(retraining.promotions(place.lake, intent.model), intent.to_version)
            previous = None if replaced is None else registry.known(intent.model, replaced)
        if previous is None:
            registry.remove_alias(intent.model, PREVIOUS_CHAMPION)
        else:
            registry.set_alias(previous, PREVIOUS_CHAMPION)
        registry.set_alias(version, CHAMPION)
        # Before it is concluded: who listens may hear it twice, and never not at all.
        _tell(intent, version)
    retraining.conclude(place.lake, intent, run_id)
    newest = _newest(place, intent.model)
    if is_newest and newest.promotion_id != intent.promotion_id:
        # While this run stood still another one has completed its work and promoted a version after it: that one holds.
        _carry_out(place, registry, newest, run_id)


def _newest(place: settings.Settings, model: str) -> Promotion:
    return retraining.promotions(place.lake, model)[-1]


def _mark(registry: "Registry", intent: Promotion, version: "Version", before: "Version | None") -> None:
    """Write down on the versions what became of them: the reason first, as the verdict says that both are there."""
    if intent.kind == PROMOTE:
        registry.tag(version, {"verdict_reason": intent.reason, "verdict": "promoted"})
    elif before is not None:
        # Else the next retraining would find it unjudged and promote it again.
        registry.tag(before, {"verdict_reason": intent.reason, "verdict": "rolled back"})


def _tell(intent: Promotion, version: "Version") -> None:
    if in_flow_run():
        emit_event(
            PROMOTED,
            {
                "prefect.resource.id": f"taxalake.model.{intent.model}",
                "taxalake.version": version.model_version,
                "taxalake.before": _number_of(intent.from_version) or "",
                "taxalake.kind": intent.kind,
            },
            payload={"reason": intent.reason},
        )


def _replaced_by(history: list[Promotion], recorded_as: str) -> str | None:
    """Return whose place a version has last taken, None where it was champion from the start."""
    taken = [one for one in history if one.kind == PROMOTE and one.to_version == recorded_as and one.is_done]
    return taken[-1].from_version if taken else None
