"""Hidden layers between standardised embeddings and logits."""

from typing import Any, ClassVar, Self

from torch import Tensor, nn

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head
from modeling.problem import Problem


class MlpHead(Head):
    """For each hidden width: linear, batch norm of that width, ReLU, dropout; then a linear layer to the logits.

    The last layer begins at zero, so that what was never seen is never preferred; the hidden ones begin by chance.
    In training a batch needs two rows, as the batch norm has no spread of one.
    """

    kind: ClassVar[str] = "mlp"
    class_rows: ClassVar[tuple[str, ...]] = ("last.weight", "last.bias")

    def __init__(
        self, dimension: int, class_count: int, hidden: list[int], dropout: float, input_dropout: float
    ) -> None:
        super().__init__(dimension, class_count)
        if not hidden or any(type(width) is not int or width < 1 for width in hidden):
            raise TrainingError(
                f"the setting 'hidden' of 'mlp' is {hidden!r}; it is a list of widths of at least 1, such as [512] "
                f"(for none, take the kind 'linear')"
            )
        self.hidden = list(hidden)
        self.input_dropout = nn.Dropout(input_dropout)  # of features
        self.dropout = nn.Dropout(dropout)  # of each hidden layer
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU())
            for before, width in zip([dimension, *hidden], hidden, strict=False)
        )
        self.last = nn.Linear(hidden[-1], class_count)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: hidden (widths), dropout and input_dropout (0 to 1)."""
        asked = checked(cls.kind, settings, {"hidden": [512], "dropout": 0.3, "input_dropout": 0.0})
        return cls(problem.dimension, problem.class_count, **asked)

    def settings(self) -> dict[str, Any]:
        """Return the hidden widths and both dropouts."""
        return {"hidden": self.hidden, "dropout": self.dropout.p, "input_dropout": self.input_dropout.p}

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        shown = self.input_dropout(self.standardised(features))
        for layer in self.layers:
            shown = self.dropout(layer(shown))
        logits: Tensor = self.last(shown)
        return logits
