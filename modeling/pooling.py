"""What is kept of the tokens that a backbone gives for one tile, and under which names.

Every pooling is a sum over tokens, so that all of them together cost next to nothing beside the network; the token
matrix itself, a thousand times as large, is never stored.
"""

import math

import numpy as np
from numpy.typing import NDArray

# cls: the CLS token as the model hands it out (CLIP's before its last norm, others' after it), or the model's own
#     pooled output where it has no such token; (D).
# mean_patch: the mean of the patch tokens; (D).
# dct: the first 8 x 8 coefficients of the orthonormal DCT-II of the patch tokens (patches x D), row by row.
# dct_published: the same of CLS and patches, unnormalised: what DS@GT published for PlantCLEF 2024 and SnakeCLEF 2024,
#     kept for comparison; its values reach 1e5.
POOLINGS = ("cls", "mean_patch", "dct", "dct_published")
COEFFICIENTS = 8


def cosines(length: int) -> NDArray[np.float32]:
    """Return what takes a vector to its first DCT-II coefficients by multiplication: (at most 8, length).

    Unnormalised as SciPy defines type II: ``y_k = 2 sum_n x_n cos(pi k (2n + 1) / 2N)``.
    """
    frequency = np.arange(min(COEFFICIENTS, length))[:, None]
    basis: NDArray[np.float64] = 2 * np.cos(math.pi * frequency * (2 * np.arange(length) + 1) / (2 * length))
    return basis.astype(np.float32)


def orthonormal_cosines(length: int) -> NDArray[np.float32]:
    """Return the same with rows of length one: ``y_0`` times ``sqrt(1/4N)``, the others times ``sqrt(1/2N)``."""
    basis = cosines(length) * math.sqrt(1 / (2 * length))
    basis[0] *= math.sqrt(1 / 2)
    return basis
