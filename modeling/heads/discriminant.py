"""Linear discriminant analysis: class means seen through one covariance, shrunken so that few photographs suffice."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head
from modeling.problem import Problem

_CHUNK = 65_536  # rows that are looked at together


class DiscriminantHead(Head):
    """``logits = x S^-1 m_c - m_c S^-1 m_c / 2 + log p_c``, the posterior of Gaussians of one covariance (Fisher 1936).

    ``m_c`` is the mean of a class, ``p_c`` its share of the training examples. ``S = (1 - s) W + s tr(W) / D I``, with
    the covariance ``W`` of examples around their class means, and the shrinkage ``s`` (Friedman 1989). All in one
    solution, with no learning rate to choose.
    """

    kind: ClassVar[str] = "discriminant"
    learns_by_steps: ClassVar[bool] = False

    def __init__(self, dimension: int, class_count: int, shrinkage: float) -> None:
        super().__init__(dimension, class_count)
        self.shrinkage = shrinkage
        self.layer = nn.Linear(dimension, class_count)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: shrinkage (more than 0, up to 1)."""
        asked = checked(cls.kind, settings, {"shrinkage": 0.3})
        if not 0 < asked["shrinkage"] <= 1:
            raise TrainingError(
                f"the setting 'shrinkage' of {cls.kind!r} is {asked['shrinkage']}; it is more than 0, up to 1"
            )
        return cls(problem.dimension, problem.class_count, asked["shrinkage"])

    def settings(self) -> dict[str, Any]:
        """Return the shrinkage."""
        return {"shrinkage": self.shrinkage}

    @torch.no_grad()
    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Solve for all weights. A class without an example is never best."""
        super().begin(features, targets)
        counts = torch.bincount(targets, minlength=self.class_count).double()
        means = torch.zeros(self.class_count, self.dimension, dtype=torch.float64)
        inside = torch.zeros(self.dimension, self.dimension, dtype=torch.float64)
        chunks = range(0, len(targets), _CHUNK)
        for at in chunks:
            some = self.standardised(features[at : at + _CHUNK]).double()
            means.index_add_(0, targets[at : at + _CHUNK], some)
        means /= counts.clamp_min(1)[:, None]
        for at in chunks:
            some = self.standardised(features[at : at + _CHUNK]).double() - means[targets[at : at + _CHUNK]]
            inside += some.T @ some
        inside /= len(targets)
        # Every class may have one example alone: then nothing is known of how they spread.
        spread = float(inside.trace()) / self.dimension or 1.0
        covariance = (1 - self.shrinkage) * inside + self.shrinkage * spread * torch.eye(self.dimension).double()
        weights = torch.linalg.solve(covariance, means.T).T
        bias = -(weights * means).sum(dim=1) / 2 + (counts / counts.sum()).clamp_min(1e-300).log()
        self.layer.weight.copy_(weights)
        self.layer.bias.copy_(torch.where(counts > 0, bias, torch.full_like(bias, -1e4)))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        logits: Tensor = self.layer(self.standardised(features))
        return logits
