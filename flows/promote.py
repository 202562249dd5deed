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
    """Who became champion."""

    model: str
    champion: str
    before: str | None
    reason: str
    renewed: RenewReport | None
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.committed:
            return [f"{self.champion} is the champion already"]
        return [
            f"{self.champion} is champion now, in the place of {self.before}: {self.reason}",
            *([] if self.renewed is None else self.renewed.lines()),
        ]


@flow(name="promote")
def promote(model: str, home: Path | None = None, reason: str = "by hand") -> PromotionReport:
    """Make a version champion, whatever the retraining said of it.

    Args:
        model: NAME/VERSION or NAME@alias, such as NAME@challenger.
        home: The place's home.
        reason: Why, for those who ask later.
    """
    from modeling.registry import CHAMPION, Registry

    place = settings.load(home=home)
    registry, run_id = Registry(place.registry_uri, place.artifacts), flow_run_id()
    version = registry.find(model)
    finish(place, registry, version.name, run_id)
    (judged_on,) = tables.latest(place.lake, "promotions")
    before = registry.holder(version.name, CHAMPION)
    if before is not None and before.number == version.number:
        return told(_report(before, before, reason, None, False))
    hand_over(place, registry, PROMOTE, before, version, reason, judged_on, run_id)
    renewed = run_subflow(renew_answers, version.name, place.home)
    return told(_report(version, before, reason, renewed, True))


@flow(name="rollback")
def rollback(name: str, home: Path | None = None, reason: str = "by hand") -> PromotionReport:
    """Give a model's name back to the version that the champion has replaced.

    Args:
        name: The registered model's name.
        home: The place's home.
        reason: Why, for those who ask later.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    registry, run_id = Registry(place.registry_uri, place.artifacts), flow_run_id()
    finish(place, registry, name, run_id)
    (judged_on,) = tables.latest(place.lake, "promotions")
    champion = registry.find(name)
    replaced = _replaced_by(retraining.promotions(place.lake, name), champion.recorded_as)
    if replaced is None:
        raise RegistryError(
            f"{champion.model_version} has taken nobody's place: there is nothing to roll back to; "
            f"`taxalake promote {name}/VERSION` makes any version champion"
        )
    version = registry.recorded(name, replaced)
    hand_over(place, registry, ROLLBACK, champion, version, reason, judged_on, run_id)
    renewed = run_subflow(renew_answers, name, place.home)
    return told(_report(version, champion, f"rolled back: {reason}", renewed, True))


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
    """Complete what a run that died has begun, and return it."""
    begun = [one for one in retraining.promotions(place.lake, name) if not one.is_done]
    for one in begun:
        say(f"a run that ended early was about to make {one.to_version} champion: completed now")
        _carry_out(place, registry, one, run_id)
    return begun


def _carry_out(place: settings.Settings, registry: "Registry", intent: Promotion, run_id: str) -> None:
    """Move the aliases, mark the versions, tell who listens, and conclude: each step may be done twice."""
    from modeling.registry import CHAMPION, PREVIOUS_CHAMPION

    name = intent.model
    version = registry.recorded(name, intent.to_version)
    before = None if intent.from_version is None else registry.recorded(name, intent.from_version)
    previous = before
    if intent.kind == ROLLBACK:
        replaced = _replaced_by(retraining.promotions(place.lake, name), intent.to_version)
        previous = None if replaced is None else registry.recorded(name, replaced)
        if before is not None:
            # Else the next retraining would find it unjudged and promote it again.
            registry.tag(before, {"verdict": "rolled back", "verdict_reason": intent.reason})
    else:
        registry.tag(version, {"verdict": "promoted", "verdict_reason": intent.reason})
    if previous is None:
        registry.remove_alias(name, PREVIOUS_CHAMPION)
    else:
        registry.set_alias(previous, PREVIOUS_CHAMPION)
    registry.set_alias(version, CHAMPION)
    if in_flow_run():
        # Before it is concluded: who listens may hear it twice, and never not at all.
        emit_event(
            PROMOTED,
            {
                "prefect.resource.id": f"taxalake.model.{name}",
                "taxalake.version": version.model_version,
                "taxalake.before": "" if before is None else before.model_version,
                "taxalake.kind": intent.kind,
            },
            payload={"reason": intent.reason},
        )
    retraining.conclude(place.lake, intent, run_id)


def _replaced_by(history: list[Promotion], recorded_as: str) -> str | None:
    """Return whose place a version has last taken, None where it was champion from the start."""
    taken = [one for one in history if one.kind == PROMOTE and one.to_version == recorded_as and one.is_done]
    return taken[-1].from_version if taken else None


def _report(
    version: "Version", before: "Version | None", reason: str, renewed: RenewReport | None, committed: bool
) -> PromotionReport:
    return PromotionReport(
        model=version.name,
        champion=version.model_version,
        before=None if before is None else before.model_version,
        reason=reason,
        renewed=renewed,
        committed=committed,
    )
