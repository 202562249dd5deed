"""One linear layer on standardised embeddings."""

import torch
from torch import Tensor, nn


class LinearHead(nn.Module):
    """``logits = W dropout((x - mean) / std) + b``; mean and std are those of the training embeddings.

    Dimensions of a frozen backbone differ in scale by orders of magnitude; standardised, one learning rate fits all
    of them. Weights begin at zero: without hidden layers nothing has to be told apart by chance, and what was never
    seen is never preferred.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dimension: int, class_count: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dimension = dimension
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("std", torch.ones(dimension))
        self.dropout = nn.Dropout(dropout)  # of features, in training only
        self.layer = nn.Linear(dimension, class_count)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from training features (N, D)."""
        self.mean.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # A dimension that moves by no more than rounding says nothing, then and later: infinity makes a zero of all it
        # ever holds. A small divisor would make a huge feature of the first image in which it moves.
        still = spread <= 1e-6 * self.mean.abs().clamp_min(1.0)
        self.std.copy_(spread.masked_fill(still, torch.inf))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        logits: Tensor = self.layer(self.dropout((features - self.mean) / self.std))
        return logits
