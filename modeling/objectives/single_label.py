"""Objectives for photographs of one species, all classes alike. p is the softmax of the logits z, y the true class."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from modeling.objectives.objective import Objective, shares_of


class CrossEntropy(Objective):
    """``-sum_c t_c log p_c``, ``t = (1 - label_smoothing) onehot(y) + label_smoothing / C`` (Szegedy et al. 2016)."""

    name: ClassVar[str] = "cross_entropy"
    usual: ClassVar[dict[str, Any]] = {"label_smoothing": 0.05}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"label_smoothing": (0.0, 1.0)}

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, label_smoothing=self.asked["label_smoothing"])


class AsymmetricSingle(Objective):
    """``-sum_c t_c w_c log p_c``: the asymmetric loss on a softmax (Ridnik et al. 2021).

    ``w_y = (1 - p_y) ** gamma_positive``, ``w_c = p_c ** gamma_negative`` for other classes, and
    ``t = (1 - smoothing) onehot(y) + smoothing / C``. Other classes are heard through their smoothing only.
    """

    name: ClassVar[str] = "asymmetric_single"
    takes_shares: ClassVar[bool] = False  # a class is either the one or another
    usual: ClassVar[dict[str, Any]] = {"gamma_positive": 0.0, "gamma_negative": 4.0, "smoothing": 0.1}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"smoothing": (0.0, 1.0)}

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        log_p = logits.log_softmax(dim=1)
        onehot = shares_of(targets, logits)
        # 1 - p_y as the sum of the others: the difference would be 0 in float32 long before it is.
        others = logits.masked_fill(onehot.bool(), torch.finfo(logits.dtype).min).logsumexp(dim=1, keepdim=True)
        log_rest = others - logits.logsumexp(dim=1, keepdim=True)
        log_weight = torch.where(
            onehot.bool(), self.asked["gamma_positive"] * log_rest, self.asked["gamma_negative"] * log_p
        )
        smoothing = self.asked["smoothing"]
        smoothed = (1 - smoothing) * onehot + smoothing / self.class_count
        loss: Tensor = -(smoothed * log_weight.exp() * log_p).sum(dim=1).mean()
        return loss


class LogitNorm(Objective):
    """Cross-entropy of ``z / (temperature * max(|z|, 1))``, |z| the Euclidean norm over classes (Wei et al. 2022).

    A network cannot make it smaller by being surer of everything. The temperature is the paper's for CIFAR-10. The
    logits of a head learnt so are of any scale, and their softmax says nothing before it is calibrated.

    The paper divides by |z|, however small: a head that begins at zero would have a gradient of 1e8 in its first step,
    which Adam remembers for thousands and learns next to nothing. From a norm of 1 on, this is the paper's.
    """

    name: ClassVar[str] = "logit_norm"
    usual: ClassVar[dict[str, Any]] = {"temperature": 0.04}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"temperature": (1e-4, 1e6)}

    def meant(self, logits: Tensor) -> Tensor:
        """Return the logits at the length that is trained."""
        norm = torch.linalg.vector_norm(logits, dim=1, keepdim=True).clamp_min(1.0)
        scaled: Tensor = logits / (self.asked["temperature"] * norm)
        return scaled

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(self.meant(logits), targets)
