"""How one plant of a species grows, leaf by leaf and flower by flower. Leaves its place and its light to others."""

import math
from collections.abc import Iterator

import numpy as np

from lake.sources.synthetic.colours import mixed, shifted
from lake.sources.synthetic.habits import Stand
from lake.sources.synthetic.markings import PLAIN
from lake.sources.synthetic.outlines import Fan, stalk_outline
from lake.sources.synthetic.painting import Organ
from lake.sources.synthetic.species import Bloom, Species

FLOWERING_SHARE = 0.6  # of the plants of a species that flowers at all
EYE = Fan(1, 0.0, 0)


def grow(species: Species, rng: np.random.Generator) -> list[Organ]:
    """Grow one plant that was never seen before, as organs from the ground up."""
    tint, shade = rng.normal(0, 0.014), rng.normal(1, 0.07)
    foliage = shifted(species.foliage, tint, shade)
    second = shifted(species.second, tint, shade)
    organs = []
    for stand in species.genus.habit.stands(rng):
        leaf = rng.normal(1, 0.06)
        if stand.stalk:
            colour = shifted(mixed(species.foliage, (0.5, 0.36, 0.24), 0.4), 0.0, leaf)
            organs.append(Organ(stand, stalk_outline(stand.length), colour, colour, PLAIN, 0.1, 0.0))
            continue
        organs.append(
            Organ(
                stand=stand,
                outline=species.genus.outline,
                colour=shifted(foliage, rng.normal(0, 0.008), leaf),
                second=shifted(second, 0.0, leaf),
                marking=species.marking,
                gloss=species.gloss,
                phase=rng.uniform(0, 2 * math.pi),
            )
        )
    if species.bloom is not None and rng.random() < FLOWERING_SHARE:
        leaves = [organ.stand for organ in organs if not organ.stand.stalk]
        for _ in range(int(rng.integers(species.bloom.heads[0], species.bloom.heads[1] + 1))):
            x, y = leaves[int(rng.integers(len(leaves)))].point(rng.uniform(0.1, 0.6))
            organs.extend(_flower(species.bloom, x, y, rng))
    return organs


def _flower(bloom: Bloom, x: float, y: float, rng: np.random.Generator) -> Iterator[Organ]:
    angle = rng.uniform(0, 2 * math.pi)
    size = bloom.length * rng.uniform(0.85, 1.12)
    for k in range(bloom.petals):
        turn = angle + 2 * math.pi * k / bloom.petals + rng.normal(0, 0.05)
        colour = shifted(bloom.colour, 0.0, rng.normal(1, 0.03))
        yield Organ(Stand(x, y, turn, size, 0.035), bloom.petal, colour, colour, PLAIN, 0.1, 0.0)
    width = size * 0.5
    middle = Stand(x - width * 0.45, y, 0.0, width, 0.012)
    yield Organ(middle, EYE, bloom.eye, bloom.eye, PLAIN, 0.3, 0.0)
