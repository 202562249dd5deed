"""Learnt class vectors of which only the direction counts."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head
from modeling.heads.prototype import class_directions, cosines
from modeling.problem import Problem


class CosineHead(Head):
    """``logits = scale * cos(dropout((x - mean) / std), w_c)``, after Gidaris and Komodakis 2018.

    A rare class has vectors as long as a common one, and no bias: how often a class was seen prefers nothing. The
    vectors begin as the class means; one without examples stays zero, learns nothing and is never best.
    """

    kind: ClassVar[str] = "cosine"
    class_rows: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(self, dimension: int, class_count: int, scale: float, dropout: float) -> None:
        super().__init__(dimension, class_count)
        if not scale > 0:
            raise TrainingError(f"the setting 'scale' of 'cosine' is {scale!r}; it must be above 0")
        self.scale = scale
        self.dropout = nn.Dropout(dropout)  # of features, in training only
        self.weight = nn.Parameter(torch.zeros(class_count, dimension))

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: scale (above 0), dropout (0 to 1)."""
        asked = checked(cls.kind, settings, {"scale": 20.0, "dropout": 0.0})
        return cls(problem.dimension, problem.class_count, **asked)

    def settings(self) -> dict[str, Any]:
        """Return scale and dropout."""
        return {"scale": self.scale, "dropout": self.dropout.p}

    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Take the class means, for the steps to begin from."""
        super().begin(features, targets)
        with torch.no_grad():
            self.weight.copy_(class_directions(self, features, targets, self.class_count))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        shown = functional.normalize(self.dropout(self.standardised(features)), dim=1)
        return self.scale * cosines(shown, functional.normalize(self.weight, dim=1))
