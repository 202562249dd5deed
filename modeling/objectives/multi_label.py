"""Objectives for images of many species, each there or not. p is the sigmoid of the logit x of one class, y is 0 or 1.

All take y between 0 and 1 as well, which weighs the two sides of a formula: every one is ``y of_present + (1 - y)
of_absent``, but for sigmoid_f1. A single class index is that class there and all others not.

Powers of probabilities are exponentials of log-sigmoids: these have a gradient, and the right one, where p is 0 or 1.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from modeling.objectives.objective import Objective, shares_of
from modeling.problem import Problem


class BinaryCrossEntropy(Objective):
    """``-sum_c [y log p + (1 - y) log(1 - p)]``, no smoothing.

    The sum over classes, not their mean: the mean would make one species among thousands weigh next to nothing.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    is_multi_label: ClassVar[bool] = True

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return _weighed(-logsigmoid(logits), -logsigmoid(-logits), shares_of(targets, logits))


class Asymmetric(Objective):
    """``-sum_c [y (1 - p) ** gamma_positive log p + (1 - y) m ** gamma_negative log(1 - m)]`` (Ridnik et al. 2021).

    ``m = max(p - clip, 0)``: the many classes that are surely absent weigh nothing, so that the few that are present
    are heard. The gradient is the whole one, powers included, as in the paper.
    """

    name: ClassVar[str] = "asymmetric"
    is_multi_label: ClassVar[bool] = True
    usual: ClassVar[dict[str, Any]] = {"gamma_negative": 4.0, "gamma_positive": 1.0, "clip": 0.05}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"clip": (0.0, 1.0)}
    log_clip: Tensor

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        clip = asked["clip"]
        self.register_buffer("log_clip", torch.tensor(math.log(clip) if clip else -math.inf), persistent=False)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        present = _focal(logits, self.asked["gamma_positive"])
        log_absent = torch.logaddexp(logsigmoid(-logits), self.log_clip.to(logits.dtype)).clamp_max(0.0)
        # Not 0: the slope of a root is infinite there, and infinity times 0 is NaN.
        shifted = (logits.sigmoid() - self.asked["clip"]).clamp_min(torch.finfo(logits.dtype).tiny)
        absent = -shifted.pow(self.asked["gamma_negative"]) * log_absent
        return _weighed(present, absent, shares_of(targets, logits))


class Hill(Objective):
    """``sum_c [-y (1 - p_m) ** gamma log p_m + (1 - y) (lam - p) p ** 2]``, ``p_m`` the sigmoid of ``x - margin``.

    For labels of which some are missing (Zhang et al. 2021). What is labelled absent and scored as surely present is
    more likely a missing label than a mistake: with lam 1.5 the slope is ``3 p (1 - p)`` by p, and ends at 0.
    """

    name: ClassVar[str] = "hill"
    is_multi_label: ClassVar[bool] = True
    usual: ClassVar[dict[str, Any]] = {"lam": 1.5, "margin": 1.0, "gamma": 2.0}

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        p = logits.sigmoid()
        present = _focal(logits - self.asked["margin"], self.asked["gamma"])
        return _weighed(present, (self.asked["lam"] - p) * p.square(), shares_of(targets, logits))


class SPLC(Objective):
    """Self-paced loss correction, for labels of which some are missing (Zhang et al. 2021).

    ``sum_c [y L(x - margin) + (1 - y) L(-x)]`` with ``L(x) = -(1 - s(x)) ** gamma log s(x)``, s the sigmoid. From epoch
    ``change_epoch`` on, what is labelled absent and has ``p > tau`` counts as present: ``L(x)`` instead of ``L(-x)``.
    The loss of one epoch is then not comparable with that of another.
    """

    name: ClassVar[str] = "splc"
    is_multi_label: ClassVar[bool] = True
    usual: ClassVar[dict[str, Any]] = {"tau": 0.6, "change_epoch": 1, "margin": 1.0, "gamma": 2.0}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"tau": (0.0, 1.0)}

    def __init__(self, problem: Problem, asked: dict[str, Any]) -> None:
        super().__init__(problem, asked)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Begin to take confident predictions for labels in epoch ``change_epoch``, counted from 0."""
        self.corrects = epoch >= self.asked["change_epoch"]

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        gamma = self.asked["gamma"]
        absent = _focal(-logits, gamma)
        if self.corrects:
            absent = torch.where(logits.sigmoid() > self.asked["tau"], _focal(logits, gamma), absent)
        return _weighed(_focal(logits - self.asked["margin"], gamma), absent, shares_of(targets, logits))


class SigmoidF1(Objective):
    """``1 - mean_c 2 tp / (2 tp + fp + fn)``, counted softly over the batch for each class (Bénédict et al. 2022).

    ``tp = sum s y``, ``fp = sum s (1 - y)``, ``fn = sum (1 - s) y`` over N, with ``s`` the sigmoid of
    ``slope (x + offset)``. x is a logit: the published code takes a sigmoid of what already is one, and s then never
    leaves 0.5 to 0.73.

    The mean is over classes with a positive in the batch, 0 where there is none. A class without one has F1 0 whatever
    is predicted, and no gradient: among thousands of classes such would hide the others. So nothing here forbids
    a class that the batch does not hold; large batches are wanted.
    """

    name: ClassVar[str] = "sigmoid_f1"
    is_multi_label: ClassVar[bool] = True
    usual: ClassVar[dict[str, Any]] = {"slope": 1.0, "offset": 0.0}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"slope": (1e-6, 1e6), "offset": (-1e6, 1e6)}

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        labels = shares_of(targets, logits)
        scores = (self.asked["slope"] * (logits + self.asked["offset"])).sigmoid()
        labelled = labels.sum(dim=0)
        is_there = labelled > 0
        # 2 tp + fp + fn is all that is scored and all that is labelled.
        whole = (scores.sum(dim=0) + labelled).masked_fill(~is_there, 1.0)
        losses = (1 - 2 * (scores * labels).sum(dim=0) / whole) * is_there
        loss: Tensor = losses.sum() / is_there.sum().clamp_min(1)
        return loss


def _focal(logits: Tensor, gamma: float) -> Tensor:
    """Return ``-(1 - p) ** gamma log p`` of p the sigmoid of logits."""
    return -(gamma * logsigmoid(-logits)).exp() * logsigmoid(logits)


def _weighed(present: Tensor, absent: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over N of the sum over C, of what each class costs if it is there and if it is not: (N, C)."""
    return (labels * present + (1 - labels) * absent).sum(dim=1).mean()
