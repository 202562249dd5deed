"""What all objectives have in common: logits and targets to the one number that training makes smaller."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.problem import Problem

_NOT_NEGATIVE = (0.0, 1e6)  # infinity makes sense nowhere


class Objective(nn.Module, ABC):
    """Logits (N, C) and targets to a scalar.

    Constants live in buffers, so that they follow the module to its device, and in no checkpoint: problem and settings
    give them back.
    """

    name: ClassVar[str]
    is_multi_label: ClassVar[bool] = False  # probabilities are sigmoids of logits, not a softmax
    takes_shares: ClassVar[bool] = True  # targets may be (N, C) as well as (N) class indices
    usual: ClassVar[dict[str, Any]] = {}  # every setting, with what it is by default
    limits: ClassVar[dict[str, tuple[float, float]]] = {}  # of numbers, ends included; else any from 0 on

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__()
        self.class_count = problem.class_count
        self.asked = asked

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build the objective for a problem, with what is not set as usual.

        Raises:
            TrainingError: If a setting is unknown or makes no sense, or the problem lacks what this objective needs.
        """
        asked = checked(cls.name, settings, cls.usual)
        for name, value in asked.items():
            low, high = cls.limits.get(name, _NOT_NEGATIVE)
            # Written so that NaN, which compares with nothing, is refused.
            if isinstance(value, int | float) and not low <= value <= high:
                raise TrainingError(f"the setting {name!r} of {cls.name!r} is {value!r}; it is from {low} to {high}")
        return cls(problem, asked)

    def settings(self) -> dict[str, Any]:
        """Return what ``of`` was asked for, with defaults filled in, as JSON can hold it."""
        return dict(self.asked)

    def begin_epoch(self, epoch: int) -> None:
        """Hear that an epoch begins; they count from 0."""

    def meant(self, logits: Tensor) -> Tensor:
        """Return the logits whose softmax this objective takes for probabilities; those of the head unless said."""
        return logits

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over N; where a formula sums over classes, of the sum over C.

        Args:
            logits: (N, C). Float64 is computed with as such, any other as float32, under autocast too: probabilities
                among thousands of classes do not fit a bfloat16.
            targets: (N) class indices. Where ``takes_shares``, also (N, C) in 0..1: shares of classes that sum to 1,
                or, multi-label, each class by itself: 1 where it is there.

        Raises:
            TrainingError: If the shapes are not those.
        """
        self._require_shapes(logits, targets)
        with torch.autocast(logits.device.type, enabled=False):
            exact = logits if logits.dtype == torch.float64 else logits.float()
            return self._loss(exact, targets if targets.ndim == 1 else targets.to(exact.dtype))

    @abstractmethod
    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar of float32 or float64 logits; targets (N, C) are of the same dtype."""

    def _require_shapes(self, logits: Tensor, targets: Tensor) -> None:
        count = len(logits)
        if logits.shape != (count, self.class_count):
            raise TrainingError(
                f"{self.name!r} is for logits ({count}, {self.class_count}), and was given {tuple(logits.shape)}"
            )
        if targets.shape != (count,) and not (self.takes_shares and targets.shape == logits.shape):
            shares = f" or shares ({count}, {self.class_count})" if self.takes_shares else ""
            raise TrainingError(
                f"{self.name!r} takes class indices ({count},){shares}, and was given targets {tuple(targets.shape)}"
            )


def shares_of(targets: Tensor, logits: Tensor) -> Tensor:
    """Return targets as (N, C) of the dtype of the logits: one 1 in each row, where they are class indices."""
    return targets if targets.ndim == 2 else torch.zeros_like(logits).scatter_(1, targets[:, None], 1.0)


def counts_of(problem: Problem) -> Tensor:
    """Return the photographs of each class, (C) float64. A class never seen counts as seen once: no log of zero."""
    return torch.tensor(problem.class_counts, dtype=torch.float64).clamp_min(1.0)
