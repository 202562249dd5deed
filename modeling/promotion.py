"""When a challenger takes the champion's place. Judges numbers; moves no alias."""

from collections.abc import Mapping
from dataclasses import dataclass

# The metric that decides, first that both have: species count alike, so that the rare ones are not forgotten.
DECIDING = ("macro_f1", "macro_f1_per_observation")


@dataclass(frozen=True)
class PromotionRule:
    """A challenger has to be better by a margin on the same held-out observations."""

    min_gain: float = 0.005  # macro F1, absolute; under this is split noise


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger takes the champion's place, and why."""

    decision: str  # first, promoted or refused
    metric: str
    champion_score: float | None
    challenger_score: float
    reason: str


def judge(
    champion: Mapping[str, float] | None, challenger: Mapping[str, float], rule: PromotionRule | None = None
) -> Verdict:
    """Judge a challenger by the metrics of both on the same observations.

    Args:
        champion: Its metrics; None where there is no champion.
        challenger: Its metrics.
        rule: The margin.
    """
    rule = rule or PromotionRule()
    metric = next(name for name in DECIDING if name in challenger and (champion is None or name in champion))
    score = challenger[metric]
    if champion is None:
        return Verdict("first", metric, None, score, "there was no champion to beat")
    held = champion[metric]
    gain = score - held
    words = f"{metric} {score:.4f} against {held:.4f}: {gain:+.4f}, asked for is {rule.min_gain:+.4f}"
    return Verdict("promoted" if gain >= rule.min_gain else "refused", metric, held, score, words)
