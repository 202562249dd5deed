"""One linear layer on standardised embeddings."""

from typing import Any, ClassVar, Self

from torch import Tensor, nn

from modeling.choices import checked
from modeling.heads.head import Head
from modeling.problem import Problem


class LinearHead(Head):
    """``logits = W dropout((x - mean) / std) + b``; mean and std are those of the training embeddings.

    Weights begin at zero: without hidden layers nothing has to be told apart by chance, and what was never seen is
    never preferred.
    """

    kind: ClassVar[str] = "linear"
    class_rows: ClassVar[tuple[str, ...]] = ("layer.weight", "layer.bias")

    def __init__(self, dimension: int, class_count: int, dropout: float = 0.0) -> None:
        super().__init__(dimension, class_count)
        self.dropout = nn.Dropout(dropout)  # of features, in training only
        self.layer = nn.Linear(dimension, class_count)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: dropout (0 to 1)."""
        asked = checked(cls.kind, settings, {"dropout": 0.3})
        return cls(problem.dimension, problem.class_count, asked["dropout"])

    def settings(self) -> dict[str, Any]:
        """Return the dropout."""
        return {"dropout": self.dropout.p}

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        logits: Tensor = self.layer(self.dropout(self.standardised(features)))
        return logits
