"""What a drawing is asked to hold, and the chance that draws it. Knows no plant, no pixel and no file."""

import hashlib
from dataclasses import dataclass

import numpy as np

SPECIES_LIMIT = 48  # three rounds of the genera: in a fourth, those with sisters would want for markings


@dataclass(frozen=True)
class Flora:
    """What to draw. The same flora is the same bytes; a larger one holds the species and plants of a smaller.

    ``plants_per_species`` counts photographs; some show a plant for the second time.
    """

    species_count: int = 8
    plants_per_species: int = 40
    quadrat_count: int = 12
    quadrat_rows: int = 4
    quadrat_cols: int = 4
    tile_px: int = 160
    seed: int = 7

    def __post_init__(self) -> None:
        if not 2 <= self.species_count <= SPECIES_LIMIT:
            raise ValueError(f"asked for {self.species_count} species: this flora has 2 to {SPECIES_LIMIT}")
        if self.plants_per_species < 3:
            raise ValueError(
                f"asked for {self.plants_per_species} photographs of each species: "
                "of fewer than 3 none would be left to test on"
            )
        if min(self.quadrat_rows, self.quadrat_cols) < 1 or self.quadrat_rows * self.quadrat_cols < 4:
            raise ValueError(
                f"asked for quadrats of {self.quadrat_rows} rows x {self.quadrat_cols} cols: "
                "two species that stand in two cells each need 4"
            )
        if self.quadrat_count < 0 or self.tile_px < 16:
            raise ValueError(
                f"asked for {self.quadrat_count} quadrats with tiles of {self.tile_px} px: "
                "the least are 0 quadrats and 16 px"
            )

    @property
    def picture_count(self) -> int:
        """Photographs of plants and of quadrats together."""
        return self.species_count * self.plants_per_species + self.quadrat_count


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one named thing, the same whenever seed and name are the same.

    One for each name, so that a picture does not depend on which others were drawn before it.
    """
    return np.random.default_rng(list(hashlib.sha256(f"{seed} {name}".encode()).digest()))
