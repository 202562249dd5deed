"""The contract between positions on the logits axis and species outside. Made once, in training, and carried along.

No other code derives an order of classes from data: a model whose order was derived twice named nothing right.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from modeling.errors import ClassMapMismatchError, TrainingError


@dataclass(frozen=True)
class ClassMap:
    """Species in the order of the logits axis."""

    species_ids: tuple[str, ...]  # (C)
    scientific_names: tuple[str, ...]  # (C), for people

    @classmethod
    def of(cls, names: Mapping[str, str]) -> "ClassMap":
        """Make the map of some species.

        Args:
            names: species_id to scientific name.

        Raises:
            TrainingError: If there are fewer than two species: there would be nothing to tell apart.
        """
        if len(names) < 2:
            raise TrainingError(
                f"there is nothing to tell apart: the training photographs show {len(names)} species "
                f"({', '.join(names) or 'none'}); two are needed"
            )
        ordered = sorted(names)
        return cls(tuple(ordered), tuple(names[species_id] for species_id in ordered))

    @property
    def class_map_id(self) -> str:
        """Hash of the ordered species ids; names do not enter."""
        return hashlib.sha256(json.dumps(self.species_ids).encode()).hexdigest()[:16]

    @cached_property
    def index(self) -> dict[str, int]:
        """species_id to class index."""
        return {species_id: position for position, species_id in enumerate(self.species_ids)}

    def __len__(self) -> int:
        return len(self.species_ids)

    def require(self, class_map_id: str, where: str) -> None:
        """Hold this map against the id that something else carries.

        Raises:
            ClassMapMismatchError: If they differ; both are named.
        """
        if class_map_id != self.class_map_id:
            raise ClassMapMismatchError(
                f"{where} was made with class map {class_map_id}, but this model's is {self.class_map_id}: "
                f"its class indices name other species"
            )
