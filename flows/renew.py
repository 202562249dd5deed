"""What champions have answered, answered by the champion of today: what has vectors is not embedded anew."""

import json
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import run_subflow, told
from flows.predict import predict
from lake import decisions, retraining
from lake.errors import LakeError
from lake.retraining import Renewal
from modeling.errors import ModelingError


class Renewed(BaseModel):
    """The answers to one data set by one rule, before and after."""

    dataset: str
    rule_id: str
    before: str | None  # decision_id; None where no earlier champion has answered by this rule
    decision_id: str
    observations: int
    compared: int  # observations that were answered before, too
    changed: int | None  # of those; None where there is nothing to compare with
    mean_jaccard: float | None
    gained: dict[str, int]  # species_id to observations
    lost: dict[str, int]

    @property
    def words(self) -> str:
        """The change for people."""
        if self.changed is None or self.mean_jaccard is None:
            return f"{self.dataset}: {self.observations} observations answered (decision {self.decision_id})"
        most = [
            f"{sign}{species} in {count}"
            for sign, some in (("+", self.gained), ("-", self.lost))
            for species, count in list(some.items())[:3]
        ]
        return (
            f"{self.dataset}: {self.changed} of {self.compared} observations are answered otherwise than before "
            f"(similarity {self.mean_jaccard:.3f}{'; ' + ', '.join(most) if most else ''}); "
            f"decisions {self.before} and {self.decision_id}"
        )


class RenewReport(BaseModel):
    """What the champion has answered anew."""

    model: str
    champion: str
    answers: list[Renewed]
    problems: dict[str, str]  # what could not be answered anew, and why
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [one.words for one in self.answers]
        lines += [f"PROBLEM: {what} cannot be answered anew: {why}" for what, why in self.problems.items()]
        return lines or [f"{self.champion} has answered all that champions before it have: nothing new"]


@flow(name="renew-answers")
def renew_answers(name: str, home: Path | None = None) -> RenewReport:
    """Answer what champions of a model have answered, with the observations that have come since, and say what changes.

    Args:
        name: The registered model's name.
        home: The place's home.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    champion = Registry(place.registry_uri, place.artifacts).find(name)
    answers: list[Renewed] = []
    failures: dict[str, Exception] = {}
    for one in retraining.renewals(place.lake, name, champion.recorded_as):
        try:
            answers.append(_renew(place, champion.model_version, one))
        except (LakeError, ModelingError) as error:
            # What follows is answered all the same: the champion is champion.
            failures[f"{one.dataset} by the rule {one.rule_id}"] = error
    return told(
        RenewReport(
            model=name,
            champion=champion.model_version,
            answers=answers,
            problems={what: str(why) for what, why in failures.items()},
            committed=bool(answers),
        )
    )


def _renew(place: settings.Settings, model_version: str, renewal: Renewal) -> Renewed:
    # Which priors hold is decided anew: those of its name that are newest.
    rule = {key: value for key, value in json.loads(renewal.rule).items() if key != "prior_ids" and value is not None}
    done = run_subflow(predict, renewal.dataset, model_version, home=place.home, rule=rule)
    changes = None
    if renewal.earlier_id is not None:
        earlier, now = (decisions.find(place.lake, one) for one in (renewal.earlier_id, done.decision_id))
        changes = retraining.changed_answers(place.lake, earlier, now)
    return Renewed(
        dataset=renewal.dataset,
        rule_id=renewal.rule_id,
        before=renewal.earlier_id,
        decision_id=done.decision_id,
        observations=done.observations,
        compared=0 if changes is None else changes.observations,
        changed=None if changes is None else changes.changed,
        mean_jaccard=None if changes is None else changes.mean_jaccard,
        gained={} if changes is None else changes.gained,
        lost={} if changes is None else changes.lost,
    )
