"""Which vectors lie together: k-means. Knows neither photographs nor species."""

import numpy as np
from numpy.typing import NDArray

from modeling.errors import TrainingError

_RESTARTS = 10  # of which the tightest clusters are taken
_MOST_ROUNDS = 100


def clusters_of(vectors: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Put vectors into clusters: k-means (Lloyd 1982), begun as k-means++ does (Arthur & Vassilvitskii 2007).

    Each dimension is standardised first. Clusters are numbered as the first of their vectors come, so that the same
    vectors in the same order get the same numbers.

    Args:
        vectors: (N, D).
        count: How many clusters; none is left empty.
        seed: Of the beginnings.

    Returns:
        (N) the cluster of each vector, from 0.

    Raises:
        TrainingError: If there are fewer different vectors than clusters.
    """
    different = len(np.unique(vectors, axis=0)) if len(vectors) else 0
    if not 1 <= count <= different:
        raise TrainingError(
            f"{count} clusters were asked for, of {len(vectors)} vectors, {different} of them different: ask for 1 to "
            f"{different}"
        )
    points = _standardised(vectors)
    generator = np.random.default_rng(seed)
    found = [_lloyd(points, _beginning(points, count, generator)) for _ in range(_RESTARTS)]
    members, _ = min(found, key=lambda one: one[1])
    _, firsts, inverse = np.unique(members, return_index=True, return_inverse=True)
    number_of = np.argsort(np.argsort(firsts))
    numbered: NDArray[np.int64] = number_of[inverse].astype(np.int64)
    return numbered


def _standardised(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    spread = exact.std(axis=0)
    # A dimension that never moves says nothing.
    scaled: NDArray[np.float64] = (exact - exact.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _beginning(points: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return points (count, D) to begin with, each the likelier the farther it is from those before it."""
    chosen = [int(generator.integers(len(points)))]
    far = np.full(len(points), np.inf)
    while len(chosen) < count:
        # By differences: a copy of one that is chosen is at no distance at all, and never chosen.
        far = np.minimum(far, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(generator.choice(len(points), p=far / far.sum())))
    return points[chosen]


def _lloyd(points: NDArray[np.float64], centres: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Return the cluster of each point, and the sum of the squared distances to its centre."""
    squares = (points**2).sum(axis=1)[:, None]
    members = np.full(len(points), -1)
    for _ in range(_MOST_ROUNDS):
        distances = np.maximum(squares - 2 * (points @ centres.T) + (centres**2).sum(axis=1), 0)
        nearest = distances.argmin(axis=1)
        for empty in np.setdiff1d(np.arange(len(centres)), nearest):
            # The point that is served worst, but none that is alone.
            sizes = np.bincount(nearest, minlength=len(centres))
            lone = sizes[nearest] == 1
            worst = np.where(lone, -1.0, distances[np.arange(len(points)), nearest]).argmax()
            nearest[worst] = empty
        if np.array_equal(nearest, members):
            break
        members = nearest
        is_member = np.equal.outer(np.arange(len(centres)), members).astype(np.float64)
        # A product with ones and noughts: to pick the members of each out takes several times as long.
        centres = is_member @ points / is_member.sum(axis=1, keepdims=True)
    return members, float(((points - centres[members]) ** 2).sum())
