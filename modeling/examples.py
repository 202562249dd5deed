"""What a head learns from, as a matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeling.errors import TrainingError
from modeling.problem import Problem

_CHUNK = 8192  # rows that are looked at together: features may be a file on disk


@dataclass(frozen=True)
class Examples:
    """What a head learns from, and what tells it when to stop. An example is a tile of a photograph."""

    features: NDArray[np.float32]  # (N, D), perhaps mapped from a file
    class_indices: NDArray[np.int64]  # (N)
    is_validation: NDArray[np.bool_]  # (N)
    observations: NDArray[np.int64] | None = None  # (N) a number for each; None: each example is one of its own

    @property
    def groups(self) -> NDArray[np.int64]:
        """The observation of each example, as a number: (N)."""
        return np.arange(len(self.class_indices)) if self.observations is None else self.observations


def require_sense(examples: Examples, problem: Problem) -> None:
    """Refuse examples that nothing can be learnt from.

    Raises:
        TrainingError: If a side of the split is empty, features are not finite, or a class index has no class.
    """
    train, val = int((~examples.is_validation).sum()), int(examples.is_validation.sum())
    if not train or not val:
        raise TrainingError(
            f"{train} photographs to train on and {val} to validate on: both are needed. Give a split column, or "
            f"more labelled observations of the species that have only a few."
        )
    for at in range(0, len(examples.features), _CHUNK):
        finite = np.isfinite(examples.features[at : at + _CHUNK]).all(axis=1)
        if not finite.all():
            raise TrainingError(f"an embedding holds NaN or infinity: that of example {at + int(finite.argmin())}")
    lowest, highest = int(examples.class_indices.min()), int(examples.class_indices.max())
    if lowest < 0 or highest >= problem.class_count:
        raise TrainingError(
            f"class indices are from {lowest} to {highest}, and those of the class map from 0 to "
            f"{problem.class_count - 1}"
        )
