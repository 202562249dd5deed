"""What all heads have in common: they standardise embeddings and give one logit for each class."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from modeling.problem import Problem

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, C) and targets, (N) indices or (N, C) shares, to one number
_CHUNK = 65_536  # rows that are looked at together: features may be a file on disk


class Head(nn.Module, ABC):
    """Embeddings (N, D) to logits (N, C).

    Dimensions of a frozen backbone differ in scale by orders of magnitude, those of a DCT by more; standardised, one
    learning rate and one distance fit all of them.
    """

    kind: ClassVar[str]
    learns_by_steps: ClassVar[bool] = True  # else ``begin`` is all of its learning
    is_softmax_only: ClassVar[bool] = False  # its logits are logarithms of shares: no sigmoid gets over a half
    class_rows: ClassVar[tuple[str, ...]] = ()  # names in its state with a row for each class
    mean: Tensor
    std: Tensor

    def __init__(self, dimension: int, class_count: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.class_count = class_count
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("std", torch.ones(dimension))

    @classmethod
    @abstractmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing.

        Raises:
            TrainingError: If a setting is unknown or makes no sense, or the problem lacks what this kind needs.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what the constructor takes beside dimension and class_count, as JSON can hold it."""

    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Take from the training examples what is not learnt step by step.

        Args:
            features: (N, D) float32.
            targets: (N) class indices.
        """
        self.standardise(features)

    def loss(self, objective: Loss, features: Tensor, targets: Tensor) -> Tensor:
        """Return what a training step makes smaller; a head with several outputs adds to it."""
        return objective(self(features), targets)

    @property
    def weights_hash(self) -> str:
        """Hash of the weights, to compare two heads by."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.cpu().contiguous().numpy().tobytes())
        return whole.hexdigest()[:16]

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from training features (N, D)."""
        count = len(features)
        chunks = range(0, count, _CHUNK)
        total, squares = torch.zeros(2, self.dimension, dtype=torch.float64, device=self.mean.device)
        for at in chunks:
            total += features[at : at + _CHUNK].to(total).sum(dim=0)
        mean = total / count
        for at in chunks:
            squares += (features[at : at + _CHUNK].to(total) - mean).square().sum(dim=0)
        spread = (squares / count).sqrt().to(self.std)
        self.mean.copy_(mean)
        # A dimension that moves by no more than rounding says nothing, then and later: infinity makes a zero of all it
        # ever holds. A small divisor would make a huge feature of the first image in which it moves.
        still = spread <= 1e-6 * self.mean.abs().clamp_min(1.0)
        self.std.copy_(spread.masked_fill(still, torch.inf))

    def standardised(self, features: Tensor) -> Tensor:
        """Return features with mean 0 and standard deviation 1 over the training examples: (N, D)."""
        return (features - self.mean) / self.std
