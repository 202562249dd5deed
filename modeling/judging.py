"""What a trained head answers to the validation examples, and how sure it is of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeling import calibration
from modeling.examples import Examples
from modeling.heads.head import Head

_CHUNK = 8192  # rows whose logits are looked at together


@dataclass(frozen=True)
class Answers:
    """What a head answers to N observations that it has not learnt from."""

    observations: NDArray[np.int64]  # (N) as the examples number them, ascending
    truth: NDArray[np.int64]  # (N) class indices
    best: NDArray[np.int64]  # (N) class indices
    probabilities: NDArray[np.float64]  # (N) of the best: the mean of the calibrated ones of its tiles

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the best is the truth: (N)."""
        right: NDArray[np.bool_] = self.best == self.truth
        return right


@dataclass(frozen=True)
class Confidence:
    """How sure a head is of N validation examples; probabilities are of tiles, and so is their calibration."""

    before: NDArray[np.float64]  # (N) highest probability
    after: NDArray[np.float64]  # (N) the same once logits are divided by the temperature
    is_right: NDArray[np.bool_]  # (N)

    @property
    def errors(self) -> tuple[float, float]:
        """Expected calibration error, before and after."""
        before, after = (
            calibration.expected_calibration_error(confidences, self.is_right)
            for confidences in (self.before, self.after)
        )
        return before, after


def judge(network: Head, examples: Examples, temperature: float, is_multi_label: bool) -> tuple[Answers, Confidence]:
    """Return what a head answers to the validation observations, and how sure it is of their tiles.

    An observation is answered by the best of the mean probabilities of its tiles.

    Args:
        network: The head, in evaluation mode.
        examples: Of which those for validation are judged.
        temperature: That logits are divided by.
        is_multi_label: Whether probabilities are sigmoids of logits, not a softmax.
    """
    rows = np.flatnonzero(examples.is_validation)
    rows = rows[np.argsort(examples.groups[rows], kind="stable")]
    groups = examples.groups[rows]
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    probability = calibration.sigmoid if is_multi_label else calibration.softmax
    answers: list[tuple[NDArray[Any], ...]] = []
    confidences: list[tuple[NDArray[Any], ...]] = []
    for some in _whole_observations(starts, len(rows)):
        chunk = rows[some]
        logits = logits_of(network, np.ascontiguousarray(examples.features[chunk]))
        calibrated = probability(logits, temperature)
        right = logits.argmax(axis=1) == examples.class_indices[chunk]
        sure = [found.max(axis=1).astype(np.float64) for found in (probability(logits, 1.0), calibrated)]
        confidences.append((*sure, right))
        firsts = starts[(starts >= some.start) & (starts < some.stop)] - some.start
        sizes = np.diff(firsts, append=len(chunk))[:, None]
        means = np.add.reduceat(calibrated.astype(np.float64), firsts) / sizes
        best = means.argmax(axis=1)
        truth = examples.class_indices[chunk[firsts]]
        answers.append((examples.groups[chunk[firsts]], truth, best, means[np.arange(len(best)), best]))
    return (
        Answers(*(np.concatenate(column) for column in zip(*answers, strict=True))),
        Confidence(*(np.concatenate(column) for column in zip(*confidences, strict=True))),
    )


def logits_of(network: Head, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits (N, C) of features (N, D)."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(torch.from_numpy(features)).numpy()
    return logits


def _whole_observations(starts: NDArray[np.int64], count: int) -> Iterator[slice]:
    """Yield stretches of about as many rows as are looked at together, none of which cuts an observation."""
    begin = 0
    while begin < count:
        later = starts[starts >= begin + _CHUNK]
        end = int(later[0]) if len(later) else count
        yield slice(begin, end)
        begin = end
