"""Which species there are and what all plants of one have in common. How a single plant differs is ``plants``."""

from dataclasses import dataclass

import numpy as np

from lake.sources.synthetic.colours import Colour, hsv
from lake.sources.synthetic.flora import Flora, generator
from lake.sources.synthetic.habits import Cross, Frond, Habit, Rosette, Sprig, Stalked, Tuft
from lake.sources.synthetic.markings import MARKINGS, Marking
from lake.sources.synthetic.outlines import Blade, Fan, Outline


@dataclass(frozen=True)
class Genus:
    """What sister species share."""

    name: str
    habit: Habit
    outline: Outline


GENERA = (
    Genus("Solvaria", Rosette((9, 13), (0.36, 0.44), 0.42), Blade(0.2, 0.62, 1.3, veins=5)),
    Genus(
        "Dentarola",
        Rosette((10, 15), (0.38, 0.46), 0.5),
        Blade(0.17, 0.64, 1.2, lobes=5, notch=0.62, veins=6),
    ),
    Genus("Junciola", Tuft((34, 50), (0.3, 0.47)), Blade(0.032, 0.3, 1.1)),
    Genus("Palmiria", Stalked((7, 11), (0.25, 0.31)), Fan(5, 0.55, 5, sinus=0.3)),
    Genus("Trifolina", Stalked((9, 13), (0.145, 0.18), leaflets=3), Blade(0.36, 0.6, 1.0, veins=7)),
    Genus("Pinnarola", Frond((6, 9), (0.4, 0.47), 11), Blade(0.17, 0.35, 1.3, veins=4)),
    Genus("Orbiella", Stalked((9, 15), (0.19, 0.25)), Fan(9, 0.07, 9, sinus=0.25)),
    Genus("Salicetta", Sprig((9, 13), (0.3, 0.36), 0.85, opposite=False), Blade(0.11, 0.4, 1.6, veins=9)),
    Genus("Mentharia", Cross((4, 6), (0.4, 0.47)), Blade(0.27, 0.36, 1.5, teeth=11, tooth=0.09, veins=6)),
    Genus("Cordiola", Stalked((7, 10), (0.21, 0.26)), Fan(1, 0.0, 7, sinus=0.55, point=0.35)),
    Genus("Sempervilla", Rosette((34, 46), (0.3, 0.38), 0.18), Blade(0.19, 0.62, 1.2)),
    Genus("Aciculina", Sprig((20, 26), (0.17, 0.22), 0.95, opposite=True), Blade(0.055, 0.4, 1.1)),
)


@dataclass(frozen=True)
class Bloom:
    """The flowers of a species: how many heads on a plant (least and most), each of how many petals."""

    petal: Blade
    petals: int
    length: float  # of a petal, in spans
    heads: tuple[int, int]
    colour: Colour
    eye: Colour


@dataclass(frozen=True)
class Species:
    """What all plants of a species have in common. ``species_id`` says nothing of their order."""

    species_id: str
    genus: Genus
    marking: Marking
    foliage: Colour
    second: Colour
    gloss: float
    bloom: Bloom | None

    @property
    def scientific_name(self) -> str:
        """The binomial: the genus, and the epithet of the marking."""
        return f"{self.genus.name} {self.marking.epithet}"


def species_of(flora: Flora) -> tuple[Species, ...]:
    """Return the species of a flora, in the order in which they were thought of."""
    order = generator(flora.seed, "order of the genera").permutation(len(GENERA))
    markings = [generator(flora.seed, f"markings of {g.name}").permutation(len(MARKINGS)) for g in GENERA]
    grown = [0] * len(GENERA)
    species = []
    for number in range(flora.species_count):
        # Every fourth species is a sister of the one before it, of the same habit and outline, so that what a
        # head confuses has a reason one can see.
        genus = order[(3 * (number // 4) + min(number % 4, 2)) % len(order)]
        marking = MARKINGS[markings[genus][grown[genus]]]
        grown[genus] += 1
        species.append(_species(flora.seed, GENERA[genus], marking))
    return tuple(species)


def _species(seed: int, genus: Genus, marking: Marking) -> Species:
    rng = generator(seed, f"{genus.name} {marking.epithet}")
    hue, saturation, value = rng.uniform(0.17, 0.46), rng.uniform(0.3, 0.7), rng.uniform(0.34, 0.66)
    # The second colour is paler or redder than the leaf, as it is in gardens.
    if rng.random() < 0.6:
        second = hsv(hue - 0.03, saturation * 0.4, min(value + 0.32, 0.95))
    else:
        second = hsv(rng.uniform(0.93, 1.03), rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.5))
    place = GENERA.index(genus) * len(MARKINGS) + MARKINGS.index(marking)
    return Species(
        # A name has one identifier whatever the seed. 10007 is prime: the identifiers scatter and never meet.
        species_id=str(1_350_000 + (1 + place) * 7_919 % 10_007),
        genus=genus,
        marking=marking,
        foliage=hsv(hue, saturation, value),
        second=second,
        gloss=rng.uniform(0.05, 0.3),
        bloom=_bloom(rng) if rng.random() < 0.55 else None,
    )


def _bloom(rng: np.random.Generator) -> Bloom:
    hue = float(rng.choice([0.0, 0.13, 0.15, 0.62, 0.75, 0.85, 0.92]))
    colour = hsv(hue, rng.uniform(0.1, 0.75), rng.uniform(0.86, 0.98))
    eye = hsv(rng.uniform(0.1, 0.15), 0.8, rng.uniform(0.6, 0.95))
    if rng.random() < 0.5:
        return Bloom(Blade(0.14, 0.7, 1.0), int(rng.integers(13, 19)), 0.085, (1, 3), colour, eye)
    return Bloom(Blade(0.42, 0.62, 1.0), 5, 0.06, (2, 6), colour, eye)
