"""Whether a difference between two models is more than chance: paired bootstrap over observations (Efron 1979)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean with the range that 95 of 100 resamples of the observations give."""

    value: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the range leaves out zero."""
        return self.low > 0 or self.high < 0


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> Interval:
    """Return the mean of one number per observation, such as whether it was right, or by how much two models differ.

    Args:
        values: (N), one for each observation; differences of two models on the same observations are paired.
        seed: Of the resamples.
    """
    generator = np.random.default_rng(seed)
    count = len(values)
    # Of right and wrong and their differences there are few: how often each is drawn is all that a mean needs.
    distinct, counts = np.unique(values, return_counts=True)
    means = generator.multinomial(count, counts / count, size=_RESAMPLES) @ distinct / count
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
