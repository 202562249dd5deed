"""Objectives to which not all mistakes are alike. p is the softmax of the logits, y the true class."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from modeling.errors import TrainingError
from modeling.objectives.objective import Objective, shares_of
from modeling.problem import Problem

# Of SnakeCLEF 2023 and 2024: harmless taken for another harmless, harmless for venomous, venomous for harmless,
# venomous for another venomous.
SNAKECLEF_COSTS = (1.0, 2.0, 5.0, 2.0)


def cost_matrix(venomous: Sequence[bool], costs: tuple[float, float, float, float] = SNAKECLEF_COSTS) -> Tensor:
    """Return what it costs to say column where row is true: (C, C) float32, 0 on the diagonal.

    Args:
        venomous: (C) in the order of the class map.
        costs: Of harmless said to be another harmless, harmless venomous, venomous harmless, venomous another venomous.
    """
    kinds = torch.tensor(venomous, dtype=torch.long)
    matrix = torch.tensor(costs, dtype=torch.float32).reshape(2, 2)[kinds][:, kinds]
    return matrix.fill_diagonal_(0.0)


class ExpectedCost(Objective):
    """``sum_c p_c cost(y, c) + cross_entropy_weight * -log p_y``.

    The first is what a guess drawn from p costs on average. It is flat where p is sure, be it wrong; the second leads
    out of there.

    Costs are those of SnakeCLEF by venomousness, or ``cost_matrix``, rows true and columns said.
    """

    name: ClassVar[str] = "expected_cost"
    usual: ClassVar[dict[str, Any]] = {"cost_matrix": None, "cross_entropy_weight": 1.0}
    costs: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        self.register_buffer("costs", self._costs(problem, asked["cost_matrix"]), persistent=False)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        costs = self.costs.to(logits.dtype)
        of_mistakes = costs[targets] if targets.ndim == 1 else targets @ costs
        expected = (logits.softmax(dim=1) * of_mistakes).sum(dim=1).mean()
        loss: Tensor = expected + self.asked["cross_entropy_weight"] * functional.cross_entropy(logits, targets)
        return loss

    def _costs(self, problem: Problem, rows: Any) -> Tensor:
        if rows is None:
            if not problem.venomous:
                raise TrainingError(
                    f"{self.name!r} has to know what mistakes cost, and nobody knows which of {self.class_count} "
                    f"classes are venomous; say so, or set 'cost_matrix'"
                )
            return cost_matrix(problem.venomous)
        count = problem.class_count
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise TrainingError(f"the setting 'cost_matrix' of {self.name!r} is {rows!r}; it is a list of lists")
        if [len(row) for row in rows] != [count] * count:
            raise TrainingError(
                f"the setting 'cost_matrix' of {self.name!r} has rows of {sorted({len(row) for row in rows})} numbers "
                f"and {len(rows)} rows; it is of {count} x {count} classes"
            )
        for row in rows:
            for cost in row:
                if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost):
                    raise TrainingError(f"the setting 'cost_matrix' of {self.name!r} holds {cost!r}; costs are numbers")
        return torch.tensor(rows, dtype=torch.float32)


class SoftTargets(Objective):
    """``-sum_c t_c log p_c``, where relatives of the true class have more of t than strangers.

    The true class keeps ``1 - smoothing``. Of the rest, ``genus_share`` is spread evenly over the other classes of its
    genus, and of its venomousness where that is known: its kin; what is left, over all that are not. Where a class has
    no kin, or nothing else, the other side has all. A genus that nobody knows is kin to none.

    Where a class has few photographs, more of its mistakes stay in the genus than with even smoothing. Where it has
    many, the first choice hardly changes: what is shared is then seen in the probabilities only.
    """

    name: ClassVar[str] = "soft_targets"
    usual: ClassVar[dict[str, Any]] = {"smoothing": 0.1, "genus_share": 0.5}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"smoothing": (0.0, 1.0), "genus_share": (0.0, 1.0)}
    groups: Tensor
    own: Tensor
    each_kin: Tensor
    each_stranger: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        if not problem.genera:
            raise TrainingError(
                f"{self.name!r} has to know the genera of {self.class_count} classes, and nobody does; give a "
                f"taxonomy, or take 'cross_entropy' with 'label_smoothing'"
            )
        groups = torch.tensor(_groups(problem))
        kin = groups.bincount()[groups].double() - 1
        strangers = problem.class_count - 1 - kin
        to_kin = asked["genus_share"] * torch.ones_like(kin)
        to_kin = to_kin.masked_fill(kin == 0, 0.0).masked_fill(strangers == 0, 1.0)
        each_kin = asked["smoothing"] * to_kin / kin.clamp_min(1)
        each_stranger = asked["smoothing"] * (1 - to_kin) / strangers.clamp_min(1)
        self.register_buffer("groups", groups, persistent=False)
        self.register_buffer("own", (1 - each_kin * kin - each_stranger * strangers).float(), persistent=False)
        self.register_buffer("each_kin", each_kin.float(), persistent=False)
        self.register_buffer("each_stranger", each_stranger.float(), persistent=False)

    def softened(self, shares: Tensor) -> Tensor:
        """Return (N, C) shares of which each class has handed on its part. Rows sum to what they summed to."""
        # By groups, not by a matrix (C, C), which for ten thousand species is larger than the head.
        from_kin = shares.new_zeros(len(shares), self.class_count)
        from_kin.index_add_(1, self.groups, shares * (self.each_kin - self.each_stranger))
        from_all = (shares * self.each_stranger).sum(dim=1, keepdim=True)
        return shares * (self.own - self.each_kin) + from_kin[:, self.groups] + from_all

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, self.softened(shares_of(targets, logits)))


def _groups(problem: Problem) -> list[int]:
    """Return for each class the number of those that are each other's kin."""
    numbers: dict[tuple[str | int, bool | None], int] = {}
    venomous: Sequence[bool | None] = problem.venomous or (None,) * problem.class_count
    # A class without a genus is a group of its own, under its index.
    kinds = [(index if genus is None else genus, venomous[index]) for index, genus in enumerate(problem.genera)]
    return [numbers.setdefault(kind, len(numbers)) for kind in kinds]
