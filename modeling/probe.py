"""Whether a model calls species by their right names: the check of a finished model, before it is registered.

Training knows class indices, a user gets names. A published system that derived the order of classes twice scored an
F1 of exactly 0, and its training curves showed nothing of it. So labelled photographs go through the whole model, as a
user would send them, and the names that come back are held against the labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from modeling.errors import ProbeError

_LEAST_AGREEMENT = 0.9  # the rest is rounding: a photograph embedded alone or in a batch


@dataclass(frozen=True)
class Probed:
    """What a model answered to labelled photographs that its head had answered right in training."""

    photographs: int
    by_name: float  # share called by the name of their label
    permuted: float  # the same share after the model's species were moved on by one: what chance gives

    @property
    def words(self) -> str:
        """The result for people."""
        return (
            f"of {self.photographs} labelled photographs {self.by_name:.0%} are called by their names, and "
            f"{self.permuted:.0%} when the species are moved on by one class index"
        )


def probe(
    species_of: Callable[[list[bytes]], Sequence[str | None]],
    photographs: Sequence[bytes],
    labels: Sequence[str],
    species_ids: Sequence[str],
) -> Probed:
    """Send labelled photographs through a model and compare names.

    Args:
        species_of: The model: photographs to the species_id of each; None where one could not be used.
        photographs: N encoded photographs that the head answered right by class index in training.
        labels: (N) their species_ids as the data set labels them.
        species_ids: (C) of the model's class map.

    Raises:
        ProbeError: If names and class indices disagree, or there is no photograph to see it by.
    """
    if not photographs:
        raise ProbeError("no photograph was sent through the model: whether its names are right is not known")
    answered = list(species_of(list(photographs)))
    position = {species_id: index for index, species_id in enumerate(species_ids)}
    moved = [None if name not in position else species_ids[(position[name] + 1) % len(position)] for name in answered]
    by_name, permuted = (
        float(np.mean([name == label for name, label in zip(names, labels, strict=True)]))
        for names in (answered, moved)
    )
    probed = Probed(len(labels), by_name, permuted)
    if by_name < _LEAST_AGREEMENT or by_name <= permuted:
        wrong = next(
            (f"{label} is called {name}" for name, label in zip(answered, labels, strict=True) if name != label), "none"
        )
        raise ProbeError(
            f"the model's class indices do not mean the species that they meant in training: {probed.words}; "
            f"by class index all of them had been right. For instance {wrong}. Nothing was registered. Where the "
            f"names are near misses of a model that is never sure, more photographs tell (setting probe_photographs; 0 "
            f"tries none)"
        )
    return probed
