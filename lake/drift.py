"""How far new observations lie from those that were learnt from, as their vectors say. Arrays in, numbers out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 10  # vectors of a cloud: resamples of fewer say too little of how sure a distance is
_RESAMPLES = 200


@dataclass(frozen=True)
class Drift:
    """The distance of two clouds of vectors with the range that 95 of 100 resamples give."""

    value: float
    low: float
    high: float


def between(usual: NDArray[np.floating], new: NDArray[np.floating], seed: int = 0) -> Drift | None:
    """Return the squared distance of two means as a share of the spread of the usual vectors.

    What two samples of one cloud are apart by chance is taken off, so that the value of no drift is 0 in the mean
    (the estimate without bias of the squared distance of two means). 1 says: as far from the middle as a usual vector.

    Args:
        usual: (N, D) vectors of observations that were learnt from, each of which stands for itself: photographs of
            one observation are much alike, and would make the range far too small.
        new: (M, D) vectors of those that came.
        seed: Of the resamples: both clouds are drawn with replacement.

    Returns:
        None where a cloud has fewer than ten vectors, or the usual ones have no spread.
    """
    if min(len(usual), len(new)) < LEAST:
        return None
    clouds = [np.asarray(cloud, np.float64) for cloud in (usual, new)]
    spread = float(clouds[0].var(axis=0, ddof=1).sum())
    if spread == 0:
        return None
    generator = np.random.default_rng(seed)
    drawn = [_means(generator, cloud) for cloud in clouds]
    by_chance = sum(cloud.var(axis=0, ddof=1).sum() / len(cloud) for cloud in clouds)
    # The first row is not drawn: of every vector once, it is the mean itself.
    squared = ((drawn[0] - drawn[1]) ** 2).sum(axis=1)
    value = float(squared[0] - by_chance) / spread
    # A resample lies as far from its sample as that from the truth: once more by chance.
    low, high = np.percentile((squared[1:] - 2 * by_chance) / spread, [2.5, 97.5])
    return Drift(value, float(min(low, value)), float(max(high, value)))


def _means(generator: np.random.Generator, cloud: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (1 + resamples, D): the mean of the cloud, and those of its resamples."""
    count = len(cloud)
    times = generator.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    return np.concatenate([cloud.mean(axis=0, keepdims=True), times @ cloud / count])
