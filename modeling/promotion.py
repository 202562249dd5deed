"""When a challenger takes the champion's place. Judges numbers; moves no alias."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# The metric that decides, first that both have: species count alike, so that the rare ones are not forgotten.
DECIDING = ("macro_f1", "macro_f1_per_observation")
_SOON_ENOUGH = 0.25  # seconds for a photograph, under which no slowdown is one


@dataclass(frozen=True)
class PromotionRule:
    """What is asked of a challenger, on the same held-out observations."""

    min_gain: float = 0.005  # macro F1, absolute; under this is split noise
    min_support: int = 20  # held-out observations from which on a species may not suffer
    max_recall_loss: float = 0.2  # that the challenger may cost such a species
    max_calibration_loss: float = 0.05  # expected calibration error, absolute
    max_slowdown: float = 3.0  # times the champion's seconds for a photograph


@dataclass(frozen=True)
class Standing:
    """What a model reaches on the held-out observations."""

    scores: Mapping[str, float]
    recalls: Mapping[str, tuple[float, int]]  # of each species, and its held-out observations
    calibration_error: float | None  # None where answers are no probabilities
    seconds: float | None  # for a photograph; None where it was not timed


@dataclass(frozen=True)
class Probe:
    """What came of sending labelled photographs through a model, as a user would."""

    words: str
    passed: bool  # they were called by their names


@dataclass(frozen=True)
class Gain:
    """What the challenger has more of a metric, with the range that 95 of 100 paired resamples give."""

    metric: str
    champion: float
    challenger: float
    low: float | None
    high: float | None
    judged_on: str = ""  # how many observations of which side, in words

    @property
    def value(self) -> float:
        """Challenger less champion."""
        return self.challenger - self.champion

    @property
    def words(self) -> str:
        """The gain for people."""
        span = "" if self.low is None or self.high is None else f" ({self.low:+.4f} to {self.high:+.4f})"
        on = f" on {self.judged_on}" if self.judged_on else ""
        return f"{self.metric} {self.challenger:.4f} against {self.champion:.4f}: {self.value:+.4f}{span}{on}"


@dataclass(frozen=True)
class Check:
    """One thing that is asked of a challenger."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger takes the champion's place, and why."""

    decision: str  # first, promoted or refused
    metric: str
    champion_score: float | None
    challenger_score: float
    reason: str
    checks: tuple[Check, ...] = ()


def deciding(champion: Mapping[str, float] | None, challenger: Mapping[str, float]) -> str:
    """Return the metric that two models are judged by."""
    return next(name for name in DECIDING if name in challenger and (champion is None or name in champion))


def first(challenger: Mapping[str, float]) -> Verdict:
    """Return the verdict where there is no champion."""
    metric = deciding(None, challenger)
    return Verdict("first", metric, None, challenger[metric], "there was no champion to beat")


def judge(
    champion: Standing,
    challenger: Standing,
    gain: Gain,
    blind: Mapping[str, Mapping[str, float]],
    probe: Probe,
    as_it_was: Gain | None,
    rule: PromotionRule | None = None,
) -> Verdict:
    """Judge a challenger against the champion. One thing that is not as asked, and it is refused.

    Args:
        champion: What it reaches.
        challenger: What the other reaches on the same observations.
        gain: Of the deciding metric.
        blind: By name the metrics of answers that never look at a photograph.
        probe: What came of sending labelled photographs through the challenger.
        as_it_was: The gain by the labels that the champion was made with; None where none are of that time.
        rule: What is asked.
    """
    rule = rule or PromotionRule()
    checks = (
        _better(gain, rule),
        _better_than_blind(challenger.scores, blind),
        _as_it_was(as_it_was),
        _no_species_suffers(champion.recalls, challenger.recalls, rule),
        Check("names", probe.passed, f"names of species: {probe.words}"),
        _calibrated(champion.calibration_error, challenger.calibration_error, rule),
        _soon_enough(champion.seconds, challenger.seconds, rule),
    )
    failed = [check.words for check in checks if not check.passed]
    return Verdict(
        "refused" if failed else "promoted",
        gain.metric,
        gain.champion,
        gain.challenger,
        "; ".join(failed) if failed else checks[0].words,
        checks,
    )


def _better(gain: Gain, rule: PromotionRule) -> Check:
    # What is not a number is not better.
    passed = gain.value >= rule.min_gain and gain.low is not None and gain.low > 0
    asked = f"asked for is {rule.min_gain:+.4f} and more than chance"
    return Check("better", passed, f"{gain.words}, {asked}")


def _better_than_blind(scores: Mapping[str, float], blind: Mapping[str, Mapping[str, float]]) -> Check:
    compared = ("accuracy", *DECIDING)
    if not any(metric in values and metric in scores for values in blind.values() for metric in compared):
        return Check("looks", False, "no answer that never looks at a photograph was scored beside it")
    better = [
        (who, metric, values[metric])
        for who, values in sorted(blind.items())
        for metric in compared
        if metric in values and metric in scores and not scores[metric] > values[metric]
    ]
    if not better:
        kinds = "one kind" if len(blind) == 1 else f"{len(blind)} kinds"
        return Check("looks", True, f"better than {kinds} of answers that never look at a photograph")
    who, metric, value = better[0]
    return Check(
        "looks", False, f"{metric} {scores[metric]:.4f} is no better than {who} reaches without looking: {value:.4f}"
    )


def _as_it_was(gain: Gain | None) -> Check:
    if gain is None:
        return Check("as_it_was", True, "there are no held-out labels of the champion's time")
    # Labels that were mixed up teach the challenger and judge it: those of before know nothing of it.
    is_worse = math.isnan(gain.value) or (gain.high is not None and gain.high < 0)
    words = f"by the labels of the champion's time {gain.words}"
    if not is_worse:
        return Check("as_it_was", True, words)
    return Check(
        "as_it_was",
        False,
        f"{words}: labels have changed their species since; if they are right now, `taxalake promote` says so",
    )


def _no_species_suffers(
    before: Mapping[str, tuple[float, int]], after: Mapping[str, tuple[float, int]], rule: PromotionRule
) -> Check:
    losses = sorted(
        (after.get(species, (0.0, 0))[0] - recall, species)
        for species, (recall, support) in before.items()
        if support >= rule.min_support
    )
    # A share of counted observations is compared: the last digit of a difference is no loss.
    suffering = [(loss, species) for loss, species in losses if loss < -rule.max_recall_loss - 1e-9]
    among = f"{len(losses)} species of at least {rule.min_support} held-out observations"
    if not suffering:
        return Check("species", True, f"none of {among} loses more than {rule.max_recall_loss} of its recall")
    worst = ", ".join(f"{species} {loss:+.3f}" for loss, species in suffering[:5])
    return Check(
        "species",
        False,
        f"{len(suffering)} of {among} lose more than {rule.max_recall_loss} of their recall: {worst}",
    )


def _calibrated(before: float | None, after: float | None, rule: PromotionRule) -> Check:
    if before is None or after is None:
        return Check("calibration", True, "answers are no probabilities: nothing to calibrate")
    words = f"calibration error {after:.3f} against {before:.3f}, {rule.max_calibration_loss:+} is allowed"
    return Check("calibration", after - before <= rule.max_calibration_loss, words)


def _soon_enough(before: float | None, after: float | None, rule: PromotionRule) -> Check:
    if before is None or after is None:
        return Check("latency", True, "no photograph was at hand to be timed")
    words = f"{after:.3f} s for a photograph against {before:.3f} s, {rule.max_slowdown:g} times is allowed"
    return Check("latency", after <= max(_SOON_ENOUGH, rule.max_slowdown * before), words)
