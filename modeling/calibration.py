"""How sure a head may be: temperatures that make probabilities honest, and measures of how honest they are.

Arrays in, numbers out. Which predictions are judged is decided by others: a temperature is fitted on observations that
the head did not learn from.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from modeling.errors import ModelingError

# What is found beyond these is a validation set that says nothing, such as one on which the head never errs.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.001, 100.0
LOWEST_OF_SIGMOIDS = 0.05  # below, the best of several species would all be 1, and none of them the best
_CHUNK = 4_000_000  # logits that are looked at together: 32 MB, where all of them may be gigabytes


@dataclass(frozen=True)
class Reliability:
    """What a head said of how sure it was, and how often it was right, by bins of confidence; (B) each."""

    lower: NDArray[np.float64]  # not in the bin, but for 0 in the first
    upper: NDArray[np.float64]  # in the bin
    count: NDArray[np.int64]
    mean_confidence: NDArray[np.float64]  # NaN where the bin is empty
    accuracy: NDArray[np.float64]  # NaN where the bin is empty


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.floating[Any]]:
    """Return the probabilities of classes of which one is true.

    Args:
        logits: (N, C), finite.
        temperature: Above 1 the head becomes less sure; which class is first never changes.

    Returns:
        (N, C), 0 to 1, of the dtype of the logits; each row sums to 1.

    Raises:
        ModelingError: If the temperature is not above 0.
    """
    _check_temperature(temperature)
    shifted: NDArray[np.floating[Any]] = (logits - logits.max(axis=1, keepdims=True)) / temperature
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def sigmoid(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.floating[Any]]:
    """Return the probabilities of classes each of which may be true.

    Args:
        logits: Any shape, finite.
        temperature: Above 1 the head becomes less sure; no probability crosses 0.5.

    Returns:
        0 to 1, of the shape and dtype of the logits.

    Raises:
        ModelingError: If the temperature is not above 0.
    """
    _check_temperature(temperature)
    probabilities: NDArray[np.floating[Any]] = expit(logits / temperature)
    return probabilities


def fit_temperature(logits: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]) -> float:
    """Return the temperature under which the true classes are likeliest (Guo et al. 2017).

    Args:
        logits: (N, C), finite.
        targets: (N) class indices.

    Returns:
        0.05 to 20, and never one that does worse than 1; 1 where the targets are of fewer than two classes, which say
        nothing of how sure to be between classes.

    Raises:
        ModelingError: If shapes do not fit, a logit is not finite or a target is no class.
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ModelingError(
            f"a temperature is fitted on logits (N, C) and N class indices, not on {logits.shape} and {targets.shape}"
        )
    _check_finite(logits)
    if len(targets) and not 0 <= targets.min() <= targets.max() < logits.shape[1]:
        raise ModelingError(
            f"class indices from 0 to {logits.shape[1] - 1} were asked for, and there are some from {targets.min()} to "
            f"{targets.max()}; take both from one class map"
        )
    if len(np.unique(targets)) < 2:
        return 1.0

    def loss(temperature: float) -> float:
        total = 0.0
        for rows in _chunks(logits):
            scaled = logits[rows].astype(np.float64) / temperature
            scaled -= scaled.max(axis=1, keepdims=True)
            total -= float(np.take_along_axis(scaled, targets[rows, None], axis=1).sum())
            total += float(np.log(np.exp(scaled, out=scaled).sum(axis=1)).sum())
        return total / len(logits)

    return _best_temperature(loss)


def fit_temperature_multi_label(
    logits: NDArray[np.floating[Any]], targets: NDArray[np.bool_] | NDArray[np.integer[Any]]
) -> float:
    """Return the one temperature under which what is and what is not there is likeliest, each class by its own sigmoid.

    Args:
        logits: (N, C), finite.
        targets: (N, C), true or 1 where the class is there, false or 0 where it is not.

    Returns:
        As ``fit_temperature``; 1 where all targets are alike.

    Raises:
        ModelingError: If shapes do not fit, a logit is not finite or a target is neither 0 nor 1.
    """
    if logits.ndim != 2 or targets.shape != logits.shape:
        raise ModelingError(
            f"a temperature is fitted on logits (N, C) and as many targets, not on {logits.shape} and {targets.shape}"
        )
    _check_finite(logits)
    found = np.unique(targets)
    if not np.isin(found, (0, 1)).all():
        raise ModelingError(f"targets of 0 and 1 were asked for, and there are some from {found[0]} to {found[-1]}")
    if len(found) < 2:
        return 1.0

    def loss(temperature: float) -> float:
        total = 0.0
        for rows in _chunks(logits):
            scaled = logits[rows].astype(np.float64) / temperature
            total += float(np.logaddexp(0, np.where(targets[rows], -scaled, scaled)).sum())
        return total / logits.size

    return _best_temperature(loss, LOWEST_OF_SIGMOIDS)


def reliability(confidences: NDArray[np.floating[Any]], is_right: NDArray[np.bool_], bins: int = 15) -> Reliability:
    """Return how often a head was right, by bins of equal width of how sure it was.

    Args:
        confidences: (N) probabilities of the answers.
        is_right: (N) whether the answers are right.
        bins: B, at least 1.

    Raises:
        ModelingError: If shapes do not fit, a confidence is not from 0 to 1 or there is no bin.
    """
    if confidences.ndim != 1 or is_right.shape != confidences.shape:
        raise ModelingError(
            f"as many answers as confidences (N) are judged, not {confidences.shape} and {is_right.shape}"
        )
    if bins < 1:
        raise ModelingError(f"confidences are put into at least one bin, not into {bins}")
    # Written so that NaN is refused too.
    strange = confidences[~((confidences >= 0) & (confidences <= 1))]
    if len(strange):
        raise ModelingError(
            f"{len(strange)} of {len(confidences)} confidences are not from 0 to 1, such as {strange[0]}; give "
            f"probabilities, not logits or percent"
        )
    edges = np.linspace(0, 1, bins + 1)
    exact = confidences.astype(np.float64)
    bin_of = np.maximum(np.searchsorted(edges, exact, side="left") - 1, 0)
    count = np.bincount(bin_of, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    return Reliability(
        lower=edges[:-1],
        upper=edges[1:],
        count=count,
        mean_confidence=np.bincount(bin_of, weights=exact, minlength=bins) / filled,
        accuracy=np.bincount(bin_of, weights=is_right, minlength=bins) / filled,
    )


def expected_calibration_error(
    confidences: NDArray[np.floating[Any]], is_right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Return by how much confidence and accuracy differ: the mean over bins of equal width (Naeini et al. 2015).

    Args:
        confidences: (N) probabilities of the answers.
        is_right: (N) whether the answers are right.
        bins: At least 1. The more there are, the larger the error is by chance.

    Returns:
        0 to 1; each bin weighs as many as are in it. NaN of no answers: nobody knows.

    Raises:
        ModelingError: As ``reliability``.
    """
    found = reliability(confidences, is_right, bins)
    if not len(confidences):
        return math.nan
    gaps = np.abs(found.accuracy - found.mean_confidence)
    return float(np.nansum(gaps * found.count) / len(confidences))


def _best_temperature(loss: Callable[[float], float], lowest: float = LOWEST_TEMPERATURE) -> float:
    # A loss that is convex in 1 / T has one valley in log T, where halving and doubling are steps of one length.
    bounds = (math.log(lowest), math.log(HIGHEST_TEMPERATURE))
    found = minimize_scalar(lambda log_temperature: loss(math.exp(log_temperature)), bounds=bounds, method="bounded")
    return math.exp(found.x) if found.fun < loss(1.0) else 1.0


def _chunks(logits: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _CHUNK // logits.shape[1])
    return (slice(start, start + rows) for start in range(0, len(logits), rows))


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ModelingError(f"a temperature is above 0, not {temperature}; 1 leaves probabilities as they are")


def _check_finite(logits: NDArray[np.floating[Any]]) -> None:
    bad = int((~np.isfinite(logits)).sum())
    if bad:
        raise ModelingError(f"{bad} of {logits.size} logits are not finite: a head that gives them learnt nothing")
