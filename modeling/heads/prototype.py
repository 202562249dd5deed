"""Class means on the sphere: a head that takes in a new species without training.

What is told apart by direction alone is here, for the kinds that do so.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from modeling.choices import checked
from modeling.errors import EmbeddingMismatchError, TrainingError
from modeling.heads.head import Head
from modeling.problem import Problem

CHUNK = 8_192  # rows that are looked at together: features may be a file on disk
_BEYOND_OPPOSITE = -2.0  # a cosine that no vector has


def directions(head: Head, features: Tensor) -> Tensor:
    """Return standardised features of length 1: (N, D). One that is all mean has no direction and stays zero."""
    return functional.normalize(head.standardised(features.to(head.mean)), dim=1)


def class_directions(head: Head, features: Tensor, targets: Tensor, class_count: int) -> Tensor:
    """Return the direction of the mean of the directions of each class.

    Args:
        head: Standardises.
        features: (N, D) float32.
        targets: (N) class indices.
        class_count: C.

    Returns:
        (C, D) float32, rows of length 1; zeros for a class without an example.
    """
    sums = torch.zeros(class_count, head.dimension, dtype=torch.float64, device=head.mean.device)
    for rows, classes in zip(torch.split(features, CHUNK), torch.split(targets, CHUNK), strict=True):
        sums.index_add_(0, classes.to(sums.device), directions(head, rows).double())
    return functional.normalize(sums, dim=1).to(head.mean)


def cosines(shown: Tensor, of_classes: Tensor) -> Tensor:
    """Return the cosine of each photograph's direction with each class's.

    Args:
        shown: (N, D), rows of length 1 or 0.
        of_classes: (C, D), rows of length 1 or 0.

    Returns:
        (N, C) in -1 to 1; -2 for a class without a direction. Its cosine would be 0, and best where all others are
        negative.
    """
    return (shown @ of_classes.T).masked_fill(~of_classes.any(dim=1), _BEYOND_OPPOSITE)


class PrototypeHead(Head):
    """``logits = scale * cos(x', p_c)``: p_c is the mean of the class's standardised examples of length 1.

    Snell et al. 2017 compare distances to class means; on the sphere the nearest mean is that of the highest cosine.
    """

    kind: ClassVar[str] = "prototype"
    learns_by_steps: ClassVar[bool] = False
    prototypes: Tensor

    def __init__(self, dimension: int, class_count: int, scale: float) -> None:
        super().__init__(dimension, class_count)
        if not scale > 0:
            raise TrainingError(f"the setting 'scale' of 'prototype' is {scale!r}; it must be above 0")
        self.scale = scale
        self.register_buffer("prototypes", torch.zeros(class_count, dimension))  # rows of length 1, or 0 if unknown

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: scale (above 0; the inverse of a temperature)."""
        return cls(problem.dimension, problem.class_count, **checked(cls.kind, settings, {"scale": 20.0}))

    def settings(self) -> dict[str, Any]:
        """Return the scale."""
        return {"scale": self.scale}

    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Take the mean of each class: all that this kind learns."""
        super().begin(features, targets)
        self.prototypes.copy_(class_directions(self, features, targets, self.class_count))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        return self.scale * cosines(directions(self, features), self.prototypes)


def extended(head: PrototypeHead, features: Tensor) -> PrototypeHead:
    """Return a head with one more class, the last one. The old classes, and how features are standardised, stay.

    Args:
        head: Of C classes; left as it is.
        features: (N, D) float32, examples of the new class; one is enough.

    Raises:
        EmbeddingMismatchError: If the features are of another length than those of the head.
        TrainingError: If there is no example.
    """
    if features.ndim != 2 or features.shape[1] != head.dimension:
        raise EmbeddingMismatchError(
            f"the head takes features (N, {head.dimension}), and those of the new class are {tuple(features.shape)}"
        )
    if len(features) == 0:
        raise TrainingError("a new class needs an example, and there is none")
    new = class_directions(head, features, torch.zeros(len(features), dtype=torch.int64), 1)
    grown = PrototypeHead(head.dimension, head.class_count + 1, **head.settings()).to(head.mean.device)
    grown.load_state_dict({**head.state_dict(), "prototypes": torch.cat([head.prototypes, new])})
    return grown
