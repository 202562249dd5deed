"""Species, genus and family learnt side by side: relatives of a rare species help to name it."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling.choices import checked
from modeling.errors import TrainingError
from modeling.heads.head import Head, Loss
from modeling.problem import Problem


class TaxonomicHead(Head):
    """Three linear layers; ``logits = log p(species) + a * log p(its genus) + b * log p(its family)``.

    The product rule is that of the University of Hamburg's system at PlantCLEF 2025, the additional losses those of
    label hierarchies in general. Logits are no normalised log-probabilities: softmax makes them so.
    """

    kind: ClassVar[str] = "taxonomic"
    is_softmax_only: ClassVar[bool] = True
    genus_of: Tensor
    family_of: Tensor

    def __init__(
        self,
        dimension: int,
        class_count: int,
        genus_of: list[int],
        family_of: list[int],
        dropout: float,
        genus_weight: float,
        family_weight: float,
        genus_loss: float,
        family_loss: float,
    ) -> None:
        super().__init__(dimension, class_count)
        for name, groups in (("genus_of", genus_of), ("family_of", family_of)):
            if len(groups) != class_count or set(groups) != set(range(len(set(groups)))):
                raise TrainingError(
                    f"{name} of a 'taxonomic' head gives each of {class_count} classes a group, counted from 0 "
                    f"without a gap; it is {groups!r}"
                )
        numbers = {
            "genus_weight": genus_weight,
            "family_weight": family_weight,
            "genus_loss": genus_loss,
            "family_loss": family_loss,
        }
        for name, number in numbers.items():
            if not number >= 0:
                raise TrainingError(f"the setting {name!r} of 'taxonomic' is {number!r}; it must be 0 or more")
        self.genus_weight = genus_weight
        self.family_weight = family_weight
        self.genus_loss = genus_loss
        self.family_loss = family_loss
        # Not in the checkpoint: they are settings, and are kept once.
        self.register_buffer("genus_of", torch.tensor(genus_of), persistent=False)
        self.register_buffer("family_of", torch.tensor(family_of), persistent=False)
        self.dropout = nn.Dropout(dropout)  # of features, in training only
        self.species = nn.Linear(dimension, class_count)
        self.genus = nn.Linear(dimension, len(set(genus_of)))
        self.family = nn.Linear(dimension, len(set(family_of)))
        for layer in (self.species, self.genus, self.family):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> Self:
        """Build a head that has learnt nothing.

        Settings: dropout (0 to 1); genus_weight and family_weight, powers of the product rule; genus_loss and
        family_loss, weights of the additional losses.

        Raises:
            TrainingError: If genera or families are not known.
        """
        usual = {"dropout": 0.3, "genus_weight": 1.0, "family_weight": 1.0, "genus_loss": 0.3, "family_loss": 0.15}
        asked = checked(cls.kind, settings, usual)
        for name, groups in (("genera", problem.genera), ("families", problem.families)):
            if not groups:
                raise TrainingError(
                    f"a 'taxonomic' head needs the {name} of the species, and none is known: give the taxa with genus "
                    f"and family, or take the kind 'linear'"
                )
        return cls(problem.dimension, problem.class_count, _groups(problem.genera), _groups(problem.families), **asked)

    def settings(self) -> dict[str, Any]:
        """Return dropout, powers, weights of losses, and which classes belong together."""
        return {
            "genus_of": self.genus_of.tolist(),
            "family_of": self.family_of.tolist(),
            "dropout": self.dropout.p,
            "genus_weight": self.genus_weight,
            "family_weight": self.family_weight,
            "genus_loss": self.genus_loss,
            "family_loss": self.family_loss,
        }

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D), by the product rule."""
        species, genus, family = (functional.log_softmax(logits, dim=1) for logits in self._outputs(features))
        return species + self.genus_weight * genus[:, self.genus_of] + self.family_weight * family[:, self.family_of]

    def loss(self, objective: Loss, features: Tensor, targets: Tensor) -> Tensor:
        """Return the objective of the species layer, and cross-entropy of genus and family by their weights.

        Args:
            objective: Of species logits, before the product rule.
            features: (N, D) float32.
            targets: (N) class indices, or (N, C) shares; the share of a group is that of its classes together.
        """
        species, genus, family = self._outputs(features)
        return (
            objective(species, targets)
            + self.genus_loss * functional.cross_entropy(genus, _of_groups(targets, self.genus_of, genus))
            + self.family_loss * functional.cross_entropy(family, _of_groups(targets, self.family_of, family))
        )

    def _outputs(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of species (N, C), genera and families, of the same dropped-out features."""
        shown = self.dropout(self.standardised(features))
        return self.species(shown), self.genus(shown), self.family(shown)


def _groups(names: Sequence[str | None]) -> list[int]:
    """Number the groups as they come. Classes whose group nobody knows are not relatives: each is one of its own."""
    keys = [position if name is None else name for position, name in enumerate(names)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def _of_groups(targets: Tensor, group_of: Tensor, logits: Tensor) -> Tensor:
    """Return targets of groups for targets of classes: (N) indices, or shares of the shape of the logits."""
    if targets.ndim == 1:
        return group_of[targets]
    return torch.zeros_like(logits).index_add(1, group_of, targets.to(logits))
