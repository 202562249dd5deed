"""Priors at work on scores, and the proof that they change something."""

from dataclasses import dataclass

from lake import priors, query
from lake.errors import PriorUnfitError
from lake.rules import DecisionRule, PriorUse
from lake.tables import Lake


@dataclass(frozen=True)
class Effect:
    """What a prior did to the scores of some observations."""

    prior_id: str
    observation_count: int
    changed_best_count: int  # observations whose best species is another one
    removed_count: int  # scores
    changed_score_count: int
    weighted_count: int  # scores of species that the prior knows
    fallback_count: int  # observations that would have been left without any species, and stayed as they were
    unplaced_count: int  # observations that the prior knows no place of

    @property
    def words(self) -> str:
        """What it did, for people."""
        left = [
            f"{count} {what}"
            for count, what in (
                (self.removed_count, "scores removed"),
                (self.fallback_count, "observations kept as they were, as nothing would be left"),
                (self.unplaced_count, "observations in no known place"),
            )
            if count
        ]
        changed = f"another best species for {self.changed_best_count} of {self.observation_count} observations"
        return f"prior {self.prior_id}: {', '.join([changed, *left])}"


def resolved(lake: Lake, rule: DecisionRule, dataset: str) -> tuple[PriorUse, ...]:
    """Return the priors of a rule by their ids, whatever their names will stand for tomorrow.

    Raises:
        LakeError: If there is no such prior for the data set.
    """
    return tuple(PriorUse(priors.find(lake, use.prior, dataset), use.strength) for use in rule.priors)


def weigh(
    ask: query.Session, dataset: str, use: PriorUse, pools_scores: bool, is_checked: bool = True
) -> Effect | None:
    """Let ``scores`` be weighed by a prior.

    Args:
        ask: Sees ``scores``, ``prior_places`` and ``priors``.
        dataset: Where the observations are from.
        use: The prior by its id, and its strength.
        pools_scores: Whether species are ranked by their scores; where votes rank them only a mask changes anything.
        is_checked: Whether its effect is looked at.

    Raises:
        PriorUnfitError: If it changes nothing, and that was looked at.
    """
    known = {"prior_id": use.prior, "dataset": dataset}
    ask.keep("scores_after", "priors/weighted_scores", **known, strength=use.strength)
    effect = None
    if is_checked:
        ask.keep("scores_before", "decide/same_scores")
        row = ask.answer("priors/effect", **known).to_pylist()[0]
        priors.require_effect(row, use.prior)
        if not pools_scores and not row["removed_count"]:
            raise PriorUnfitError(
                f"the prior {use.prior} weighs scores, and the rule goes by votes: say pooling = 'max' or 'mean', or "
                f"use a prior of kind mask, which removes species"
            )
        effect = Effect(use.prior, **row)
    ask.keep("scores", "decide/scores_after")
    return effect
