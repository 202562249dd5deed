"""What champions have answered, answered by the champion of today: what has vectors is not embedded anew."""

import json
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import run_subflow, told
from flows.predict import predict
from lake import decisions, retraining, submissions
from lake.errors import LakeError
from lake.retraining import Renewal


class Renewed(BaseModel):
    """The answers to one data set by one rule, before and after."""

    dataset: str
    rule_id: str
    before: str | None  # decision_id; None where no earlier champion has answered by this rule
    decision_id: str
    observations: int
    changed: int | None  # observations; None where there is nothing to compare with
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
            f"{self.dataset}: {self.changed} of {self.observations} observations are answered otherwise than before "
            f"(similarity {self.mean_jaccard:.3f}{'; ' + ', '.join(most) if most else ''}); "
            f"decisions {self.before} and {self.decision_id}"
        )


class RenewReport(BaseModel):
    """What the champion has answered anew."""

    model: str
    champion: str
    answers: list[Renewed]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.answers:
            return [f"{self.champion} has answered all that champions before it have: nothing new"]
        return [one.words for one in self.answers]


@flow(name="renew-answers")
def renew_answers(name: str, home: Path | None = None) -> RenewReport:
    """Answer what champions of a model have answered, also what has come since, and say what changes.

    Args:
        name: The registered model's name.
        home: The place's home.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    champion = Registry(place.registry_uri, place.artifacts).find(name)
    pending = retraining.renewals(place.lake, name, champion.recorded_as)
    answers = [_renew(place, champion.model_version, one) for one in pending]
    return told(RenewReport(model=name, champion=champion.model_version, answers=answers, committed=bool(answers)))


def _renew(place: settings.Settings, model_version: str, renewal: Renewal) -> Renewed:
    # Which priors hold is decided anew: those of its name that are newest.
    rule = {key: value for key, value in json.loads(renewal.rule).items() if key != "prior_ids" and value is not None}
    done = run_subflow(predict, renewal.dataset, model_version, home=place.home, rule=rule)
    totals, counts = _changes(place, renewal.earlier_id, done.decision_id)
    return Renewed(
        dataset=renewal.dataset,
        rule_id=renewal.rule_id,
        before=renewal.earlier_id,
        decision_id=done.decision_id,
        observations=done.observations,
        changed=totals.get("changed"),
        mean_jaccard=totals.get("mean_jaccard"),
        gained=counts["gained"],
        lost=counts["lost"],
    )


def _changes(
    place: settings.Settings, earlier_id: str | None, decision_id: str
) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """Return how much answers to the same observations differ, and in how many each species came and went."""
    counts: dict[str, dict[str, int]] = {"gained": {}, "lost": {}}
    if earlier_id is None:
        return {}, counts
    found = [submissions.answers_of_decision(decisions.find(place.lake, one)) for one in (earlier_id, decision_id)]
    try:
        changes = submissions.compare(*found)
    except LakeError:  # none of the observations of then is there any more
        return {}, counts
    for row in changes.species.to_pylist():
        counts[row["change"]][row["species_id"]] = row["observation_count"]
    totals = changes.totals
    in_one = totals["only_first"] + totals["only_second"]
    return {"changed": int(totals["changed"] - in_one), "mean_jaccard": totals["mean_jaccard"]}, counts
