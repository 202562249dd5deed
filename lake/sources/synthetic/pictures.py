"""Which pictures a flora has and what each shows. Leaves files to ``drawing``: a picture is bytes and a row."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lake.sources.synthetic.flora import Flora, generator
from lake.sources.synthetic.ground import bare_ground
from lake.sources.synthetic.painting import Pose, daylight, develop, paint
from lake.sources.synthetic.plants import grow
from lake.sources.synthetic.species import Species, species_of

PLANT_COLUMNS = ("image", "observation", "species_id", "scientific_name", "split")
QUADRAT_COLUMNS = ("image", "quadrat", "species_ids")
TEST_EVERY = 4  # every fourth plant of a species is held out
TWICE_EVERY = 3  # every third plant of a species is photographed twice
NEARNESS = (1.02, 1.22)  # how large plants come out in a picture, as a share of the span
BARE_SHARE = 0.08  # of the cells of a quadrat, nothing grows in


@dataclass(frozen=True)
class PlantPicture:
    """One photograph of one plant; ``observation`` names the plant."""

    image: str
    observation: str
    species: Species
    split: str

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in ``plants.csv``, in the order of ``PLANT_COLUMNS``."""
        return (
            self.image,
            self.observation,
            self.species.species_id,
            self.species.scientific_name,
            self.split,
        )

    def jpeg(self, flora: Flora) -> bytes:
        """Draw it. The plant comes of its observation, the ground and the light of the image."""
        plant = grow(self.species, generator(flora.seed, self.observation))
        rng = generator(flora.seed, self.image)
        side, light = flora.tile_px, daylight(rng)
        span = side * rng.uniform(*NEARNESS)
        canvas = bare_ground(side, side, span, light, rng)
        x, y = side * rng.normal(0.5, 0.03), side * rng.normal(0.5, 0.03)
        pose = Pose(x, y, rng.uniform(0, 2 * math.pi), span)
        for organ in plant:
            paint(canvas, organ, pose, light)
        return develop(canvas, light, rng)


@dataclass(frozen=True)
class QuadratPicture:
    """One quadrat: ``cells`` says which species stands in each cell of its raster, row by row, or None."""

    image: str
    quadrat: str
    cells: tuple[Species | None, ...]

    @property
    def species_ids(self) -> list[str]:
        """The species that stand in it, sorted."""
        return sorted({species.species_id for species in self.cells if species is not None})

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in ``quadrats.csv``, in the order of ``QUADRAT_COLUMNS``."""
        return self.image, self.quadrat, "|".join(self.species_ids)

    def jpeg(self, flora: Flora) -> bytes:
        """Draw it: one ground under one light, and a new plant in each cell."""
        rng = generator(flora.seed, self.image)
        span, light = flora.tile_px, daylight(rng)
        canvas = bare_ground(flora.quadrat_rows * span, flora.quadrat_cols * span, span, light, rng)
        # Plants overlap their neighbours; were they painted in reading order, the last row would always win.
        for cell in rng.permutation(len(self.cells)):
            species = self.cells[cell]
            if species is None:
                continue
            row, col = divmod(int(cell), flora.quadrat_cols)
            x, y = (col + rng.normal(0.5, 0.07)) * span, (row + rng.normal(0.5, 0.07)) * span
            pose = Pose(x, y, rng.uniform(0, 2 * math.pi), span * rng.uniform(*NEARNESS))
            for organ in grow(species, generator(flora.seed, f"{self.quadrat} {cell}")):
                paint(canvas, organ, pose, light)
        return develop(canvas, light, rng)


def plant_pictures(flora: Flora) -> Iterator[PlantPicture]:
    """Give the photographs of each species in turn; a plant has all of its own on one side of the split."""
    for species in species_of(flora):
        folder = species.scientific_name.replace(" ", "_")
        taken, plant = 0, 0
        while taken < flora.plants_per_species:
            observation = f"{folder}-{plant + 1:03d}"
            split = "test" if plant % TEST_EVERY == 1 else "train"
            for _ in range(2 if plant % TWICE_EVERY == 0 else 1):
                if taken < flora.plants_per_species:
                    taken += 1
                    yield PlantPicture(f"plants/{folder}/{taken:03d}.jpg", observation, species, split)
            plant += 1


def quadrat_pictures(flora: Flora) -> Iterator[QuadratPicture]:
    """Give the quadrats, each of two to five species that stand in two cells or more."""
    species = species_of(flora)
    cell_count = flora.quadrat_rows * flora.quadrat_cols
    for number in range(1, flora.quadrat_count + 1):
        quadrat = f"Q{number:02d}"
        rng = generator(flora.seed, f"cells of {quadrat}")
        most = min(5, cell_count // 2, len(species))
        present = rng.choice(len(species), int(rng.integers(2, most + 1)), replace=False)
        # Two cells for each first: a species seen in one tile only could not be found by two votes.
        cells: list[Species | None] = [species[n] for n in present for _ in range(2)]
        while len(cells) < cell_count:
            cells.append(None if rng.random() < BARE_SHARE else species[rng.choice(present)])
        order = rng.permutation(cell_count)
        yield QuadratPicture(f"quadrats/{quadrat}.jpg", quadrat, tuple(cells[n] for n in order))
