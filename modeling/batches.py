"""Examples as batches: drawn anew in each epoch, mixed where a recipe says so, sliced out of the matrix at once."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modeling.recipe import Recipe


class Batches:
    """Batches of features (B, D) and targets: (B) class indices, or (B, C) shares where examples are mixed.

    One epoch is one iteration. No worker processes: the matrix lies in memory, on the device, or mapped from a file.
    """

    def __init__(
        self, features: Tensor, targets: Tensor, class_count: int, recipe: Recipe, device: torch.device
    ) -> None:
        self._features, self._targets, self._device = features, targets, device
        self._class_count, self._recipe = class_count, recipe
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._shares = np.random.default_rng(recipe.seed)
        # Parts of one size, and of two at least: a single example has no variance to normalise by.
        count = len(targets)
        self._count = max(1, min(-(-count // recipe.batch(count)), count // 2))
        if recipe.sampling == "class_balanced":
            counts = torch.bincount(targets.cpu(), minlength=class_count).double()
            self._weights = (1 / counts)[targets.cpu()]

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self._count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch."""
        for rows in self._order().tensor_split(self._count):
            features, targets = self._taken(rows)
            if self._recipe.mixup:
                yield self._mixed(features, targets)
            elif self._recipe.quadrat_species:
                yield pseudo_quadrats(
                    features, targets, self._class_count, self._recipe.quadrat_species, self._generator
                )
            else:
                yield features, targets

    def _order(self) -> Tensor:
        count = len(self._targets)
        if self._recipe.sampling == "class_balanced":
            # By the cumulated weights: torch.multinomial takes no more than 16 million.
            edges = self._weights.cumsum(0)
            drawn = torch.rand(count, generator=self._generator, dtype=torch.float64) * edges[-1]
            return torch.searchsorted(edges, drawn).clamp_max(count - 1)
        return torch.randperm(count, generator=self._generator)

    def _taken(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        rows = rows.to(self._features.device)
        return self._features[rows].to(self._device), self._targets[rows].to(self._device)

    def _mixed(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each example with another of the batch, all by one share (Zhang et al. 2018, on embeddings)."""
        # NumPy's: torch's distributions take no generator, and Gammas of a small alpha are too small for a float.
        share = float(self._shares.beta(self._recipe.mixup, self._recipe.mixup))
        partner = torch.randperm(len(targets), generator=self._generator).to(features.device)
        shares = functional.one_hot(targets, self._class_count).to(features.dtype)
        return torch.lerp(features[partner], features, share), torch.lerp(shares[partner], shares, share)


def pseudo_quadrats(
    features: Tensor, targets: Tensor, class_count: int, most: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Add embeddings of single plants up to quadrats of several species.

    The CLS token of a collage lies between those of its parts; the sum is divided by the number of parts, so that it
    keeps the length of one embedding.

    Args:
        features: (B, D) of single plants.
        targets: (B) class indices.
        class_count: C.
        most: Plants in a quadrat, at most; each number from one is as likely.
        generator: To draw with.

    Returns:
        (B, D) and (B, C), 1 where a species is in the quadrat.
    """
    count = len(targets)
    others = torch.randint(count, (count, most - 1), generator=generator)
    parts = torch.cat([torch.arange(count)[:, None], others], dim=1).to(features.device)
    sizes = torch.randint(1, most + 1, (count, 1), generator=generator)
    is_in = (torch.arange(most)[None] < sizes).to(features.device)
    weights = (is_in / is_in.sum(dim=1, keepdim=True)).to(features.dtype)
    species = torch.zeros(count, class_count, dtype=features.dtype, device=features.device)
    species.scatter_reduce_(1, targets[parts], is_in.to(features.dtype), "amax")
    return torch.einsum("bm,bmd->bd", weights, features[parts]), species
