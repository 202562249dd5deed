"""Arithmetic that every pixel shares. What a value means, a depth or a colour, is left to who asks."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.floating[Any]]


def unit(values: Pixels) -> Pixels:
    """Clip to 0..1."""
    # Two calls cost a third of np.clip on boxes as small as a leaf's.
    return np.minimum(np.maximum(values, 0), 1)


def smooth(low: float, high: float, values: Pixels) -> Pixels:
    """Rise from 0 at ``low`` to 1 at ``high`` without a corner; ``low`` above ``high`` makes it fall."""
    share = unit((values - low) * (1 / (high - low)))
    return share * share * (3 - 2 * share)
