"""Several stored decisions answered together, as a decision of its own."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from lake import decisions, ensembles, ledger


class EnsembleReport(BaseModel):
    """A decision that was made of others."""

    decision_id: str
    members: list[str]
    how: str
    dataset: str
    observations: int
    mean_species: float
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        again = "" if self.committed else " (known, nothing new)"
        return [
            f"{self.how} of {', '.join(self.members)} on {self.dataset}: {self.observations} observations, "
            f"{self.mean_species:.2f} species each{again}",
            f"score it: taxalake score {self.decision_id}",
        ]


@flow(name="ensemble")
def ensemble(members: list[str], how: str, home: Path | None = None, least_jaccard: float = 0.5) -> EnsembleReport:
    """Answer observations with what several stored decisions say of them.

    Args:
        members: Their ids, or the first signs of them; two or more, on the same observations.
        how: union, intersection or jaccard.
        home: The place's home.
        least_jaccard: From where on decisions agree, for jaccard.
    """
    place = settings.load(home=home)
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    found = [decisions.find(lake, member) for member in members]
    joined = ensembles.join(lake, found, how, run_id, least_jaccard)
    answers = sum(joined.answers["is_answer"].to_pylist())
    if joined.committed:
        ledger.record_stage(lake, run_id, "ensemble", joined.scope.dataset, joined.answers.num_rows, 0, clock.seconds)
    report = EnsembleReport(
        decision_id=joined.decision_id,
        members=[one.decision_id for one in found],
        how=how,
        dataset=joined.scope.dataset,
        observations=joined.scope.observations.num_rows,
        mean_species=answers / max(1, joined.scope.observations.num_rows),
        committed=joined.committed,
    )
    return told(report)
