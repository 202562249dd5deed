"""Objectives for few photographs of most species.

p is the softmax of the logits z, y the true class, n_c the count of class c among all training photographs, which is
known before the first step.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from modeling.objectives.objective import Objective, counts_of
from modeling.problem import Problem


class ClassBalanced(Objective):
    """``-w_y log p_y`` with ``w_c ~ (1 - beta) / (1 - beta ** n_c)``, summing to C over classes (Cui et al. 2019).

    Weights go from 1 for all classes (beta 0) towards ``1 / n_c`` (beta near 1). The mean is over photographs, not over
    their weights: a batch of common species must move the head less than one of rare species.
    """

    name: ClassVar[str] = "class_balanced"
    usual: ClassVar[dict[str, Any]] = {"beta": 0.9999}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"beta": (0.0, 1 - 1e-9)}
    weights: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        log_beta = torch.tensor(asked["beta"], dtype=torch.float64).log()
        weights = -1 / torch.expm1(counts_of(problem) * log_beta)
        self.register_buffer("weights", (weights / weights.mean()).float(), persistent=False)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        whole = functional.cross_entropy(logits, targets, weight=self.weights.to(logits.dtype), reduction="sum")
        return whole / len(logits)


class LogitAdjusted(Objective):
    """Cross-entropy of ``z_c + tau log(n_c / sum n)`` (Menon et al. 2021).

    What is common is preferred by the prior that is added here and taken away with this objective: the head's own
    logits, which rank at prediction, are those of a world where all species are equally common (tau 1).
    """

    name: ClassVar[str] = "logit_adjusted"
    usual: ClassVar[dict[str, Any]] = {"tau": 1.0}
    adjustment: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        counts = counts_of(problem)
        self.register_buffer("adjustment", (asked["tau"] * (counts / counts.sum()).log()).float(), persistent=False)

    def meant(self, logits: Tensor) -> Tensor:
        """Return the logits with the prior of training."""
        return logits + self.adjustment

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(self.meant(logits), targets)


class Seesaw(Objective):
    """``-log(exp z_y / sum_c S_yc exp z_c)`` with ``S_yc = M_yc K_yc`` (Wang et al. 2021).

    Mitigation ``M_yc = min(1, n_c / n_y) ** p``: a common species punishes a rarer one less for being nearly chosen.
    Compensation ``K_yc = max(1, p_c / p_y) ** q``: unless the rarer one is chosen indeed. As the paper's gradient has
    it, K is held fixed: it weighs mistakes and is not itself learnt from.
    """

    name: ClassVar[str] = "seesaw"
    takes_shares: ClassVar[bool] = False  # which class is the rarer one depends on the one that is true
    usual: ClassVar[dict[str, Any]] = {"p": 0.8, "q": 2.0}
    log_counts: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        self.register_buffer("log_counts", counts_of(problem).log().float(), persistent=False)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        true = targets[:, None]
        log_mitigation = self.asked["p"] * (self.log_counts - self.log_counts[true]).clamp_max(0.0)
        # A ratio of probabilities is a difference of logits: nothing to divide, nothing to overflow.
        fixed = logits.detach()
        log_compensation = self.asked["q"] * (fixed - fixed.gather(1, true)).clamp_min(0.0)
        return functional.cross_entropy(logits + log_mitigation + log_compensation, targets)
