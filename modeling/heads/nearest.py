"""The nearest training examples vote: a head that forgets nothing and is as large as what it was shown."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head
from modeling.heads.prototype import CHUNK, directions
from modeling.problem import Problem

_FLOOR = 1e-8  # share of a class without a neighbour: thousands of such classes together take less than 1e-4
_CELLS = 1 << 24  # cosines that are held at once, 64 MiB


class NearestHead(Head):
    """Logits are the logs of shares: that of a class is the sum of ``exp(cos / temperature)`` over its neighbours.

    The neighbours are the k training examples of the highest cosine, and the weights those of DINO's k-NN protocol
    (Caron et al. 2021, after Wu et al. 2018). What was in training is its own neighbour: only others say how good
    this head is.
    """

    kind: ClassVar[str] = "nearest"
    learns_by_steps: ClassVar[bool] = False
    examples: Tensor
    targets: Tensor

    def __init__(
        self, dimension: int, class_count: int, example_count: int, neighbours: int, temperature: float
    ) -> None:
        super().__init__(dimension, class_count)
        if neighbours < 1:
            raise TrainingError(f"the setting 'neighbours' of 'nearest' is {neighbours!r}; it must be at least 1")
        if not temperature > 0:
            raise TrainingError(f"the setting 'temperature' of 'nearest' is {temperature!r}; it must be above 0")
        self.neighbours = neighbours
        self.temperature = temperature
        self.register_buffer("examples", torch.zeros(example_count, dimension))  # standardised, of length 1
        self.register_buffer("targets", torch.zeros(example_count, dtype=torch.int64))

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has seen nothing. Settings: neighbours (at least 1), temperature (above 0)."""
        asked = checked(cls.kind, settings, {"neighbours": 10, "temperature": 0.07})
        return cls(problem.dimension, problem.class_count, example_count=0, **asked)

    def settings(self) -> dict[str, Any]:
        """Return neighbours, temperature and how many examples there are."""
        return {
            "example_count": len(self.examples),
            "neighbours": self.neighbours,
            "temperature": self.temperature,
        }

    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Keep the examples: all that this kind learns."""
        super().begin(features, targets)
        self.examples = torch.empty(len(features), self.dimension, device=self.mean.device)
        for kept, rows in zip(torch.split(self.examples, CHUNK), torch.split(features, CHUNK), strict=True):
            kept.copy_(directions(self, rows))
        self.targets = targets.to(self.mean.device, copy=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D); ``log(1e-8)`` for a class without a neighbour."""
        shown = directions(self, features)
        logits = shown.new_empty(len(shown), self.class_count)
        count = len(self.examples)
        rows = max(1, _CELLS // max(1, count))
        for some, into in zip(torch.split(shown, rows), torch.split(logits, rows), strict=True):
            cosines, places = (some @ self.examples.T).topk(min(self.neighbours, count), dim=1)
            # Divided by their sum at once, which takes no exponential that could be too large.
            weights = nn.functional.softmax(cosines / self.temperature, dim=1)
            shares = torch.zeros_like(into).scatter_add_(1, self.targets[places], weights)
            into.copy_((shares + _FLOOR).log())
        return logits
