"""How far a score would move had other observations been scored: the bootstrap of Efron (1979), on arrays.

Every metric is computed from how often each observation is drawn; where each is drawn once, that is its value. The
questions of ``lake/sql/evaluate`` say the same values: those are what is stored, and these the ranges around them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
_NUMBERS_AT_ONCE = 1 << 19  # of a block of weights: what the processor holds close by, 4 MiB
_PRICES = {  # of SnakeCLEF 2023's mistakes, by the true and the answered species' venom
    "harmless_as_harmless": 1,
    "harmless_as_venomous": 2,
    "venomous_as_harmless": 5,
    "venomous_as_venomous": 2,
}
_BOUNDS = {  # of the metrics that are no share
    "mean_species": (0.0, np.inf),
    "snakeclef_track1": (0.0, 100.0),
    "snakeclef_track2": (0.0, np.inf),
}

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer[Any]]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A score, what it is in each resample, and the range that 95 of 100 resamples give.

    The range reaches from the 2.5th to the 97.5th percentile. That of a score is moved to have the median at the value:
    a resample holds fewer species than the whole, so that macro F1 lies lower in nearly all of them than it is; how far
    they scatter is what another sample would do, where they lie is not. Of a difference of two scores that cancels
    out, and moving it would call more than chance what many resamples do not show at all.
    """

    value: float
    resampled: Floats | None  # (B,); NaN where a resample has nothing to score; None of fewer than two units
    bounds: tuple[float, float] = (0.0, 1.0)  # what the score can be at all
    is_difference: bool = False

    @property
    def low(self) -> float | None:
        """The lower end of the range, None where there are no resamples."""
        return None if self._range is None else self._range[0]

    @property
    def high(self) -> float | None:
        """The upper end of the range, None where there are no resamples."""
        return None if self._range is None else self._range[1]

    @property
    def is_real(self) -> bool:
        """Whether the range leaves out zero: of a difference, whether it is more than chance."""
        low, high = self.low, self.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def minus(self, other: "Estimate") -> "Estimate":
        """Return the paired difference to a score that was computed with the same ``Resamples``.

        Raises:
            ValueError: If the two have different numbers of resamples, and so cannot have the same.
        """
        bounds = (self.bounds[0] - other.bounds[1], self.bounds[1] - other.bounds[0])
        if self.resampled is None and other.resampled is None:
            return Estimate(self.value - other.value, None, bounds, is_difference=True)
        if self.resampled is None or other.resampled is None or len(self.resampled) != len(other.resampled):
            sizes = [0 if one.resampled is None else len(one.resampled) for one in (self, other)]
            raise ValueError(
                f"a paired difference needs the same resamples on both sides, not {sizes[0]} and {sizes[1]}: "
                f"compute both with one Resamples"
            )
        return Estimate(self.value - other.value, self.resampled - other.resampled, bounds, is_difference=True)

    @cached_property
    def _range(self) -> tuple[float, float] | None:
        if self.resampled is None:
            return None
        scored = self.resampled[~np.isnan(self.resampled)]
        if not len(scored):
            return None
        low, middle, high = np.percentile(scored, [2.5, 50, 97.5])
        if self.is_difference:
            return float(min(low, self.value)), float(max(high, self.value))
        least, most = self.bounds
        return float(max(least, self.value - (middle - low))), float(min(most, self.value + (high - middle)))


class Resamples:
    """How often each unit is drawn in each resample: as many units as there are, with replacement.

    A unit is an observation, or a group of observations that are alike (the quadrats of a transect) and so are drawn
    together. All that is to be compared is computed with the same ``Resamples``: so every difference is paired.
    """

    def __init__(self, unit_of: Integers, count: int = RESAMPLES, seed: int = 0) -> None:
        """Draw.

        Args:
            unit_of: (N,) for each observation its unit, 0 to U - 1, each of which has an observation.
            count: B, how often is drawn; of fewer than two units nothing is, as it would always be the same.
            seed: Of the draws.
        """
        self.unit_of = unit_of
        self.unit_count = int(unit_of.max()) + 1 if len(unit_of) else 0
        self.count = count if self.unit_count > 1 else 0
        generator = np.random.default_rng(seed)
        # Drawing units and counting them is the multinomial draw, many times as fast.
        at_once = max(1, _NUMBERS_AT_ONCE // max(1, self.unit_count))
        drawn = [
            _times_drawn(generator, min(at_once, self.count - start), self.unit_count)
            for start in range(0, self.count, at_once)
        ]
        # The first column is not drawn: of every unit once, the score is its value.
        self._times = np.concatenate([np.ones((self.unit_count, 1), np.uint16), *drawn], axis=1)
        self._units_are_observations = np.array_equal(unit_of, np.arange(self.unit_count))

    @classmethod
    def of_observations(cls, observation_count: int, count: int = RESAMPLES, seed: int = 0) -> "Resamples":
        """Draw observations, each for itself."""
        return cls(np.arange(observation_count), count, seed)

    def of_observations_drawn(self, metrics: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Estimate]:
        """Compute metrics in all resamples, from how often each observation is drawn.

        Args:
            metrics: From (N, b) to b values of each metric.

        Returns:
            By name the metrics that the whole has: those that are NaN there are left out.
        """
        if self._units_are_observations:
            return self.of_units_drawn(metrics)
        return self.of_units_drawn(lambda times: metrics(times[self.unit_of]))

    def of_units_drawn(self, metrics: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Estimate]:
        """Compute the same from how often each unit is drawn: (U, b)."""
        blocks = [metrics(times) for times in self._blocks()]
        whole = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        return {
            name: Estimate(float(values[0]), values[1:] if self.count else None, _BOUNDS.get(name, (0.0, 1.0)))
            for name, values in whole.items()
            if not np.isnan(values[0])
        }

    def _blocks(self) -> Iterator[Floats]:
        width = max(16, _NUMBERS_AT_ONCE // max(1, len(self.unit_of)))
        for start in range(0, self.count + 1, width):
            yield self._times[:, start : start + width].astype(np.float64, order="C")


class _SpeciesCounts:
    """How often each species is true, answered and both: sparse, species by observation."""

    def __init__(
        self, observation: Integers, species: Integers, is_true: Flags, is_answered: Flags, observation_count: int
    ) -> None:
        # It takes longer to import than a lake to open.
        from scipy.sparse import csr_array

        # Species that are neither true nor answered add nothing to any sum.
        present, row = np.unique(species, return_inverse=True)
        is_hit = is_true & is_answered
        # Of a species that is never hit F1 is 0 in every resample: only the others are divided.
        self._hit_rows = np.unique(row[is_hit])

        def matrix(chosen: Flags) -> Any:
            # How often something was drawn is exact in four bytes, and twice as fast.
            ones = np.ones(int(chosen.sum()), np.float32)
            return csr_array((ones, (row[chosen], observation[chosen])), shape=(len(present), observation_count))

        self._true, self._answered = matrix(is_true), matrix(is_answered)
        self._hits = matrix(is_hit)[self._hit_rows]

    def macro(self, weights: Floats, species_count: int) -> tuple[dict[str, Floats], Floats]:
        """Return b values of macro F1 over three class sets, and the sum of F1 weighted by support.

        Args:
            weights: (N, b), how often each observation is drawn.
            species_count: How many species the model knows.
        """
        times = weights.astype(np.float32)
        support, answered = self._true @ times, self._answered @ times
        hit_support = support[self._hit_rows]
        occurrences = hit_support + answered[self._hit_rows]
        # Nothing of a species may be drawn: then it is not in the class sets.
        f1 = np.divide(2 * (self._hits @ times), np.maximum(occurrences, 1), dtype=np.float64)
        total = f1.sum(axis=0)
        true_count = np.count_nonzero(support, axis=0)
        seen_count = np.count_nonzero(np.add(support, answered, out=answered), axis=0)
        macro = {
            "seen": total / seen_count,
            "true": total / true_count,
            "known": total / np.maximum(seen_count, species_count),
        }
        return macro, np.einsum("sb,sb->b", f1, hit_support)


def pairs(
    true_observation: Integers, true_species: Integers, answered_observation: Integers, answered_species: Integers
) -> tuple[Integers, Integers, Flags, Flags]:
    """Return the pairs of an observation and a species that are true or answered, each once.

    Args:
        true_observation: (T,) numbers of observations, 0 and up.
        true_species: (T,) numbers of species that are there, 0 and up.
        answered_observation: (A,) of the same observations.
        answered_species: (A,) of the same species, as answered.

    Returns:
        (P,) observation, (P,) species, (P,) whether it is true, (P,) whether it was answered.
    """
    width = 1 + max(true_species.max(initial=0), answered_species.max(initial=0))
    true = true_observation * width + true_species
    answered = answered_observation * width + answered_species
    either = np.union1d(true, answered)
    return either // width, either % width, np.isin(either, true), np.isin(either, answered)


def f1_of_observations(
    observation: Integers, is_true: Flags, is_answered: Flags, observation_count: int
) -> tuple[Floats, Integers, Integers, Integers]:
    """Return (N,) of each observation: its F1, and how many of its species are there, are answered and are both."""
    true_sizes = np.bincount(observation[is_true], minlength=observation_count)
    answer_sizes = np.bincount(observation[is_answered], minlength=observation_count)
    hits = np.bincount(observation[is_true & is_answered], minlength=observation_count)
    return 2 * hits / (true_sizes + answer_sizes), true_sizes, answer_sizes, hits


def many_species(
    observation: Integers,
    species: Integers,
    is_true: Flags,
    is_answered: Flags,
    species_count: int,
    draws: Resamples,
    transects: Resamples | None = None,
) -> dict[str, Estimate]:
    """Score answers that may hold several species.

    Args:
        observation: (P,) of each pair of an observation and a species that is true or answered there, 0 to N - 1; a
            pair stands once, and every observation has a true species.
        species: (P,) the species of each pair, any number of its own.
        is_true: (P,) whether the species is there.
        is_answered: (P,) whether it was answered.
        species_count: How many species the model knows.
        draws: Of the N observations.
        transects: Of the transects of the N observations, drawn whole; None where there are none.

    Returns:
        macro_f1_per_observation, macro_f1_per_species (true or answered), macro_f1_per_true_species,
        macro_f1_per_known_species (absent ones count 0), micro_f1, precision (0 where nothing is answered), recall,
        mean_species (answered per observation) and, with transects, macro_f1_per_transect.
    """
    size = len(draws.unit_of)
    f1, true_sizes, answer_sizes, hits = f1_of_observations(observation, is_true, is_answered, size)
    sums = _sums(np.ones(size), f1, true_sizes, answer_sizes, hits)
    of_species = _SpeciesCounts(observation, species, is_true, is_answered, size)

    def metrics(weights: Floats) -> dict[str, Floats]:
        drawn, f1_sum, true_pairs, answered_pairs, hit_pairs = sums @ weights
        macro, _ = of_species.macro(weights, species_count)
        return {
            "macro_f1_per_observation": f1_sum / drawn,
            "macro_f1_per_species": macro["seen"],
            "macro_f1_per_true_species": macro["true"],
            "macro_f1_per_known_species": macro["known"],
            "micro_f1": 2 * hit_pairs / (true_pairs + answered_pairs),
            "precision": hit_pairs / np.maximum(answered_pairs, 1),
            "recall": hit_pairs / true_pairs,
            "mean_species": answered_pairs / drawn,
        }

    found = draws.of_observations_drawn(metrics)
    if transects is not None:
        of_transect = np.bincount(transects.unit_of, f1) / np.bincount(transects.unit_of)
        found |= transects.of_units_drawn(
            lambda times: {"macro_f1_per_transect": (_sums(of_transect) @ times)[0] / times.sum(axis=0)}
        )
    return found


def one_species(
    true: Integers,
    answered: Integers,
    true_rank: Integers,
    species_count: int,
    draws: Resamples,
    is_venomous: Flags | None = None,
) -> dict[str, Estimate]:
    """Score answers of one species each.

    Args:
        true: (N,) the true species of each observation, 0 to S - 1.
        answered: (N,) the answered one, -1 where there is no answer.
        true_rank: (N,) which place the true species has among the candidates, best 1; 0 where it is none of them.
        species_count: How many species the model knows.
        draws: Of the N observations.
        is_venomous: (S,) of each species; None where nobody knows.

    Returns:
        accuracy, top5_accuracy, top10_accuracy, macro_f1 (over species true or answered), macro_f1_per_true_species,
        macro_f1_per_known_species (absent ones count 0), weighted_f1 and, where venom is known, snakeclef_track1 (not
        without a venomous and a harmless observation) and snakeclef_track2, both from "Overview of SnakeCLEF 2023:
        Snake Identification in Medically Important Scenarios", 2023.
    """
    size = len(true)
    has_answer = answered >= 0
    is_hit = answered == true
    # Right answers are one pair of observation and species, wrong ones are two.
    is_other = has_answer & ~is_hit
    everyone = np.arange(size)
    of_species = _SpeciesCounts(
        np.concatenate([everyone, everyone[is_other]]),
        np.concatenate([true, answered[is_other]]),
        np.concatenate([np.ones(size, np.bool_), np.zeros(int(is_other.sum()), np.bool_)]),
        np.concatenate([is_hit, np.ones(int(is_other.sum()), np.bool_)]),
        size,
    )
    in_five, in_ten = ((true_rank > 0) & (true_rank <= most) for most in (5, 10))
    sums = _sums(np.ones(size), is_hit, in_five, in_ten)
    # Without an answer nobody is warned.
    mistakes = None if is_venomous is None else _mistakes(is_venomous[true], has_answer & is_venomous[answered], is_hit)

    def metrics(weights: Floats) -> dict[str, Floats]:
        drawn, *hits = sums @ weights
        accuracy, top5, top10 = (one / drawn for one in hits)
        macro, weighted_sum = of_species.macro(weights, species_count)
        tracks = {} if mistakes is None else _tracks(*(mistakes @ weights), macro_f1=macro["seen"])
        return {
            "accuracy": accuracy,
            "top5_accuracy": top5,
            "top10_accuracy": top10,
            "macro_f1": macro["seen"],
            "macro_f1_per_true_species": macro["true"],
            "macro_f1_per_known_species": macro["known"],
            "weighted_f1": weighted_sum / drawn,
            **tracks,
        }

    return draws.of_observations_drawn(metrics)


def _times_drawn(generator: np.random.Generator, count: int, unit_count: int) -> NDArray[np.uint16]:
    """Return how often each unit is drawn: (unit_count, count)."""
    drawn = generator.integers(unit_count, size=(count, unit_count)) + np.arange(count)[:, None] * unit_count
    times = np.bincount(drawn.ravel(), minlength=count * unit_count)
    return times.reshape(count, unit_count).T.astype(np.uint16, order="C")


def _sums(*of_observations: NDArray[Any]) -> Any:
    """Return what is to be summed over observations, (M, N), sparse: most of it is 0."""
    from scipy.sparse import csr_array

    # A dense product would wake threads that cost more than the work.
    return csr_array(np.stack(of_observations).astype(np.float64))


def _mistakes(is_venomous: Flags, is_warned: Flags, is_hit: Flags) -> Any:
    """Return (6, N): who is harmless and who venomous, and the four kinds of mistakes in the order of their prices."""
    harmless = ~is_venomous
    kinds = [
        harmless & ~is_warned & ~is_hit,
        harmless & is_warned,
        is_venomous & ~is_warned,
        is_venomous & is_warned & ~is_hit,
    ]
    return _sums(harmless, is_venomous, *kinds)


def _tracks(harmless: Floats, venomous: Floats, *mistakes: Floats, macro_f1: Floats) -> dict[str, Floats]:
    """Return b values of SnakeCLEF's two tracks. The contest rounds before it adds, a half to the even place."""
    prices = _PRICES.values()
    sizes = (harmless, harmless, venomous, venomous)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = [
            price * (100 - np.round(made / size * 100, 2))
            for price, made, size in zip(prices, mistakes, sizes, strict=True)
        ]
    return {
        "snakeclef_track1": np.round((np.round(macro_f1 * 100, 2) + sum(kept)) / 11, 2),
        "snakeclef_track2": np.sum([price * made for price, made in zip(prices, mistakes, strict=True)], axis=0),
    }
