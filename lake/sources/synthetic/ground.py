"""The ground that plants stand on, with its moss, pebbles and straws. Knows no plant."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lake.sources.synthetic.colours import Colour, between, mixed, shifted
from lake.sources.synthetic.habits import Stand
from lake.sources.synthetic.markings import PLAIN
from lake.sources.synthetic.outlines import Blade, stalk_outline
from lake.sources.synthetic.painting import Light, Organ, Pose, paint
from lake.sources.synthetic.pixels import Pixels, smooth


@dataclass(frozen=True)
class Soil:
    """``pebbles`` and ``straws`` lie on each square span; ``moss`` is the share of the ground under moss."""

    dark: Colour
    pale: Colour
    pebbles: float
    straws: float
    moss: float


SOILS = (
    Soil((0.20, 0.14, 0.10), (0.47, 0.36, 0.26), 9, 5, 0.1),
    Soil((0.13, 0.10, 0.08), (0.33, 0.26, 0.20), 4, 8, 0.25),
    Soil((0.42, 0.34, 0.25), (0.74, 0.65, 0.51), 12, 3, 0.0),
    Soil((0.25, 0.24, 0.23), (0.55, 0.53, 0.50), 26, 2, 0.05),
    Soil((0.24, 0.16, 0.12), (0.52, 0.37, 0.27), 7, 6, 0.0),
    Soil((0.15, 0.15, 0.09), (0.39, 0.36, 0.22), 4, 9, 0.4),
)
MOSS = ((0.13, 0.16, 0.07), (0.36, 0.38, 0.17))


def bare_ground(height: int, width: int, span: float, light: Light, rng: np.random.Generator) -> Pixels:
    """Bare ground seen from above, with its pebbles and straws; (3, height, width) in 0..1."""
    soil = SOILS[int(rng.integers(len(SOILS)))]
    broad = _noise(height, width, 0.7 * span, rng)
    lumps = _noise(height, width, 0.2 * span, rng)
    crumbs = 0.6 * _noise(height, width, 0.05 * span, rng) + 0.5 * _noise(height, width, 0.025 * span, rng)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    fall_y, fall_x = np.gradient(lumps + 0.55 * crumbs)
    lit = (fall_x * light.x + fall_y * light.y) * (-0.009 * span) + 0.04 * grain
    share = smooth(-1.8, 1.8, 0.7 * broad + 0.45 * lumps + 0.5 * crumbs)
    ground = between(soil.dark, soil.pale, share)
    if soil.moss:
        mossy = smooth(-0.1, 0.9, broad + 0.4 * lumps + 0.6 * crumbs + 2 * (soil.moss - 0.5))
        ground += mossy * (between(*MOSS, share + 0.1 * crumbs + 0.1 * grain) - ground)
    ground *= np.clip(1 + lit, 0.5, 1.5)
    for organ in _litter(soil, height / span, width / span, rng):
        paint(ground, organ, Pose(0.0, 0.0, 0.0, span), light)
    return ground


def _noise(height: int, width: int, cell: float, rng: np.random.Generator) -> Pixels:
    """Smooth noise around 0 whose bumps are about ``cell`` px wide; (height, width) float32."""
    step = 0.5 * cell
    rows, cols = math.ceil(height / step) + 3, math.ceil(width / step) + 3
    coarse = rng.standard_normal((rows, cols), dtype=np.float32)
    # Blurred before it is enlarged, or the bumps would stand in the rows and columns of the coarse lattice.
    tall = coarse[2:] + 2 * coarse[1:-1] + coarse[:-2]
    blurred = (tall[:, 2:] + 2 * tall[:, 1:-1] + tall[:, :-2]) / 6
    box = (0, 0, width / step, height / step)
    return np.asarray(Image.fromarray(blurred).resize((width, height), Image.Resampling.BICUBIC, box=box))


def _litter(soil: Soil, height: float, width: float, rng: np.random.Generator) -> Iterator[Organ]:
    for _ in range(rng.poisson(soil.pebbles * height * width)):
        size = 0.025 + 0.06 * rng.random() ** 3
        grey = shifted(mixed(soil.pale, (0.62, 0.6, 0.57), rng.uniform(0.2, 1)), 0.0, rng.uniform(0.6, 1.1))
        stand = Stand(rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.3), size, 0.01)
        # Rounded, so that pebbles share a few outlines and their tables are kept.
        pebble = Blade(round(rng.uniform(0.32, 0.48), 2), 0.5, 1.0)
        yield Organ(stand, pebble, grey, grey, PLAIN, 0.3, 0.0)
    for _ in range(rng.poisson(soil.straws * height * width)):
        length = rng.uniform(0.1, 0.3)
        straw = shifted((0.66, 0.56, 0.36), 0.0, rng.uniform(0.5, 1.1))
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.3)
        stand = Stand(x, y, angle, length, 0.006, rng.normal(0, 0.1))
        yield Organ(stand, stalk_outline(length), straw, straw, PLAIN, 0.2, 0.0)
