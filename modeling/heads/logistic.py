"""Multinomial logistic regression: the linear head's exact optimum under a penalty, without steps or chance."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head
from modeling.problem import Problem

_CHUNK = 4_096  # rows whose logits are held at once, in float64
_UNSEEN = -20.0  # logit of a class without an example; the mean of the others is 0


class LogisticHead(Head):
    """The minimum of ``mean cross-entropy + |W|^2 / (2 c N)`` over all N examples at once, on standardised features.

    The penalty is scikit-learn's, biases are free. (With two classes scikit-learn learns one vector, here are two: c
    has to be half as large for the same probabilities.) Found by L-BFGS with a strong Wolfe line search (Nocedal and
    Wright 2006) in float64, or left where ``max_iter`` ends it.
    """

    kind: ClassVar[str] = "logistic"
    learns_by_steps: ClassVar[bool] = False

    def __init__(self, dimension: int, class_count: int, c: float, max_iter: int) -> None:
        super().__init__(dimension, class_count)
        if not c > 0:
            raise TrainingError(f"the setting 'c' of 'logistic' is {c!r}; it must be above 0")
        if max_iter < 1:
            raise TrainingError(f"the setting 'max_iter' of 'logistic' is {max_iter!r}; it must be at least 1")
        self.c = c
        self.max_iter = max_iter
        self.layer = nn.Linear(dimension, class_count)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing. Settings: c (above 0; the inverse of a penalty), max_iter."""
        asked = checked(cls.kind, settings, {"c": 1.0, "max_iter": 200})
        return cls(problem.dimension, problem.class_count, **asked)

    def settings(self) -> dict[str, Any]:
        """Return c and max_iter."""
        return {"c": self.c, "max_iter": self.max_iter}

    def begin(self, features: Tensor, targets: Tensor) -> None:
        """Find the minimum: all that this kind learns."""
        super().begin(features, targets)
        # Without the classes that nobody has seen: their biases would have no minimum.
        targets = targets.to(self.mean.device)
        seen = torch.bincount(targets, minlength=self.class_count).nonzero()[:, 0]
        weight, bias = self._minimum(features, torch.searchsorted(seen, targets), len(seen))
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.fill_(_UNSEEN)
            # Softmax does not see what all classes have in common. Without it the logits of those seen have mean 0
            # wherever one looks, so that the best of them is above those unseen.
            self.layer.weight[seen] = (weight - weight.mean(dim=0)).to(self.layer.weight)
            self.layer.bias[seen] = (bias - bias.mean()).to(self.layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D)."""
        logits: Tensor = self.layer(self.standardised(features))
        return logits

    def _minimum(self, features: Tensor, classes: Tensor, class_count: int) -> tuple[Tensor, Tensor]:
        """Return weight (C, D) and bias (C) at the minimum, float64, for C classes that all have examples."""
        like = self.mean.double()
        weight = like.new_zeros(class_count, self.dimension, requires_grad=True)
        bias = like.new_zeros(class_count, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=self.max_iter,
            max_eval=10 * self.max_iter,
            tolerance_grad=1e-8,
            tolerance_change=1e-12,
            history_size=10,  # each keeps two copies of all weights
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            optimiser.zero_grad()
            part = weight.square().sum() / (2 * self.c * len(features))
            torch.autograd.backward(part)
            total = part.detach()
            for rows, some in zip(torch.split(features, _CHUNK), torch.split(classes, _CHUNK), strict=True):
                logits = functional.linear(self.standardised(rows.to(weight)), weight, bias)
                part = functional.cross_entropy(logits, some, reduction="sum") / len(features)
                torch.autograd.backward(part)
                total += part.detach()
            return total

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        return weight.detach(), bias.detach()
