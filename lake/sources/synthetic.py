"""A small flora, invented and drawn: pictures to try the whole lake on where there is no network and no data.

It knows how an invented plant grows, how light falls on it and where its pictures lie in a folder. It
leaves the tables to ``lake.intake`` and every judgement of the pictures to ``modeling``: what it writes is a
folder of JPEG files with two CSV files beside them. It does not provide for two drawings into one folder at
once.

Lengths are in spans: a span is the side of one tile, and a grown plant is a little less than a span across.
"""

from __future__ import annotations

import colorsys
import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.floating[Any]]
Colour: TypeAlias = tuple[float, float, float]
Range: TypeAlias = tuple[float, float]

# Raised by hand when a change here changes a picture, so that no folder is completed in another hand.
DRAWING = 1
JPEG_QUALITY = 90
TEST_EVERY = 4  # every fourth plant of a species is held out
TWICE_EVERY = 3  # every third plant of a species is photographed twice
NEARNESS = (1.02, 1.22)  # how large plants come out in a picture, as a share of the span
BARE_SHARE = 0.08  # of the cells of a quadrat, nothing grows in
FLOWERING_SHARE = 0.6  # of the plants of a species that flowers at all
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


@dataclass(frozen=True)
class Drawn:
    """A finished drawing. ``new_picture_count`` is 0 when the folder was found finished."""

    folder: Path
    plants_csv: Path
    quadrats_csv: Path
    picture_count: int
    new_picture_count: int


# ---------------------------------------------------------------- outlines


@dataclass(frozen=True)
class Surface:
    """A leaf seen pixel by pixel, each field of the shape of the pixels.

    ``depth`` is the distance inside the margin in leaf lengths, negative outside. ``along`` runs 0..1 from
    base to tip, ``across`` -1..1 from side to side, ``outward`` 0..1 from the middle to the margin;
    ``vein`` is 1 on a vein and 0 between.
    """

    depth: Pixels
    along: Pixels
    across: Pixels
    outward: Pixels
    vein: Pixels


class Outline(Protocol):
    """The shape of a leaf of length 1 that starts at the origin and points along ``u``."""

    @property
    def reach(self) -> float:
        """The farthest the outline goes from its axis, in lengths."""

    def surface(self, u: Pixels, v: Pixels) -> Surface:
        """Return what is seen at each pixel."""


# Outlines are looked up, not computed: a picture asks for a million of their points.
STEPS = 1024


def _unit(values: Pixels) -> Pixels:
    # Two calls cost a third of np.clip on boxes as small as a leaf's.
    return np.minimum(np.maximum(values, 0), 1)


def _smooth(low: float, high: float, values: Pixels) -> Pixels:
    share = _unit((values - low) * (1 / (high - low)))
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Blade:
    """An outline around an axis: needle, lance, egg, spoon, with teeth or lobes on its margin.

    ``width`` is the greatest half width, at ``peak`` of the length; ``taper`` 1 rounds the ends, 2 points
    them.
    """

    width: float
    peak: float = 0.45
    taper: float = 1.5
    teeth: int = 0
    tooth: float = 0.0
    lobes: int = 0
    notch: float = 0.0
    veins: int = 0

    @property
    def reach(self) -> float:
        """The greatest half width, teeth included."""
        return self.width * (1 + self.tooth)

    def surface(self, u: Pixels, v: Pixels) -> Surface:
        """Veins leave the midrib forwards, at one angle."""
        half_widths, flatness = _margin(self)
        index = (_unit(0.5 * u + 0.25) * (STEPS - 1)).astype(np.int32)
        half_width, aside, along = half_widths[index], np.abs(v), _unit(u)
        depth = (half_width - aside) * flatness[index]
        outward = np.minimum(aside / np.maximum(half_width, 1e-3), 1)
        vein = _unit(1 - aside * 55)
        if self.veins:
            phase = (along - 0.55 * aside) * self.veins
            vein = np.maximum(vein, 0.7 - 5 * np.abs(phase - np.rint(phase)))
        return Surface(depth, along, np.copysign(outward, v), outward, vein)


@lru_cache(maxsize=256)
def _margin(blade: Blade) -> tuple[Pixels, Pixels]:
    """Half widths of a blade from -0.5 to 1.5 of its length, and the cosine that makes them distances.

    Beyond the ends a half width is negative: minus the distance to the end. Both are (STEPS,) float32.
    """
    u = np.linspace(-0.5, 1.5, STEPS)
    on = np.clip(u, 0, 1)
    rise, fall = blade.taper * blade.peak, blade.taper * (1 - blade.peak)
    half_width = blade.width * (on / blade.peak) ** rise * ((1 - on) / (1 - blade.peak)) ** fall
    if blade.lobes:
        half_width *= 1 - blade.notch * (0.5 + 0.5 * np.cos(2 * np.pi * blade.lobes * on)) ** 2
    if blade.teeth:
        half_width *= 1 + blade.tooth * (1 - (on * blade.teeth) % 1 * 2)
    # A tooth falls off a cliff; an unbounded slope would make its edge a hole.
    slope = np.where(on == u, np.clip(np.gradient(half_width, u), -2.5, 2.5), 0)
    half_width -= np.abs(u - on)
    return half_width.astype(np.float32), (1 / np.sqrt(1 + slope**2)).astype(np.float32)


@dataclass(frozen=True)
class Fan:
    """An outline around a point, where the stalk meets the leaf: round, heart-shaped, lobed like a hand.

    ``notch`` is how deep the ``lobes`` are cut, ``sinus`` how deep the leaf is cut back to its stalk,
    ``point`` how far its tip is drawn out; all in shares of the radius.
    """

    lobes: int
    notch: float
    veins: int
    sinus: float = 0.0
    point: float = 0.0

    @property
    def reach(self) -> float:
        """The radius with its tip drawn out, whichever way it points."""
        return 0.52 * (1 + self.point)

    def surface(self, u: Pixels, v: Pixels) -> Surface:
        """All veins run from the middle, the foremost into the tip."""
        radii, flatness, gaps = _rays(self)
        ahead = u - 0.45
        index = (np.arctan2(v, ahead) * ((STEPS - 1) / (2 * math.pi)) + (STEPS / 2)).astype(np.int32)
        radius, distance = radii[index], np.sqrt(ahead * ahead + v * v)
        outward = np.minimum(distance / radius, 1)
        vein = np.maximum(1 - gaps[index] * distance, 0)
        across = np.minimum(np.maximum(v / radius, -1), 1)
        return Surface((radius - distance) * flatness[index], outward, across, outward, vein)


@lru_cache(maxsize=64)
def _rays(fan: Fan) -> tuple[Pixels, Pixels, Pixels]:
    """The margin of a fan for directions from -pi to pi; each (STEPS,) float32.

    Returns:
        The radius, in lengths; the cosine that makes it a distance; and how fast a vein fades with the
        distance from the middle.
    """
    turn = np.linspace(-math.pi, math.pi, STEPS)
    radius = 0.52 * (1 - fan.notch * (0.5 - 0.5 * np.cos(fan.lobes * turn)))
    radius *= 1 - fan.sinus * np.exp(-(((math.pi - np.abs(turn)) / 0.4) ** 2))
    radius *= 1 + fan.point * np.exp(-((turn / 0.35) ** 2))
    slope = np.clip(np.gradient(radius, turn) / radius, -2.5, 2.5)
    fade = 22 * (0.5 - 0.5 * np.cos(fan.veins * turn)) if fan.veins else np.full(STEPS, 1e3)
    flatness = 1 / np.sqrt(1 + slope**2)
    return radius.astype(np.float32), flatness.astype(np.float32), fade.astype(np.float32)


# ---------------------------------------------------------------- markings


@dataclass(frozen=True)
class Marking:
    """Where on a leaf its second colour lies, (H, W) in 0..1, and the epithet given to such leaves."""

    epithet: str
    amount: Callable[[Surface, float], Pixels]


def _spots(leaf: Surface, phase: float) -> Pixels:
    rows = np.sin(leaf.along * 19 + phase)
    return _smooth(0.25, 0.5, rows * np.sin(leaf.across * 6.3 + 1.57 * np.sign(rows) + phase * 3))


def _stripes(leaf: Surface, phase: float) -> Pixels:
    return _smooth(0.1, 0.5, np.cos(leaf.across * 10 + phase * 0.1)) * _smooth(0.02, 0.2, leaf.along)


def _margins(leaf: Surface, phase: float) -> Pixels:
    return _smooth(0.7, 0.84, leaf.outward + 0.05 * np.sin(leaf.along * 23 + phase))


def _zone(leaf: Surface, _phase: float) -> Pixels:
    return _smooth(0.17, 0.09, np.abs(leaf.along + 0.3 * np.abs(leaf.across) - 0.68))


def _veins(leaf: Surface, _phase: float) -> Pixels:
    return leaf.vein


def _eye(leaf: Surface, _phase: float) -> Pixels:
    return 1 - _smooth(0.2, 0.75, leaf.along + 0.15 * np.abs(leaf.across))


def _nothing(leaf: Surface, _phase: float) -> Pixels:
    return np.zeros_like(leaf.along)


MARKINGS = (
    Marking("nitida", _nothing),
    Marking("maculata", _spots),
    Marking("marginata", _margins),
    Marking("venosa", _veins),
    Marking("lineata", _stripes),
    Marking("zonata", _zone),
    Marking("ocellata", _eye),
)


# ---------------------------------------------------------------- habits: where the leaves of a plant stand


@dataclass(frozen=True)
class Stand:
    """One leaf or stalk, in spans and radians: its foot, where it points, its height over the ground."""

    x: float
    y: float
    angle: float
    length: float
    lift: float
    bend: float = 0.0
    stalk: bool = False

    def point(self, share: float) -> tuple[float, float]:
        """A place on the axis, ``share`` of the length from the base."""
        u, v = share * self.length, self.bend * share * share * self.length
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos


class Habit(Protocol):
    """How the leaves of a genus are arranged."""

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """Give the leaves and stalks of a new plant around the origin, lowest first."""


GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Rosette:
    """Leaves from one point of the ground, each turned from the one before by the golden angle."""

    leaves: tuple[int, int]
    length: Range
    youngest: float  # length of the youngest leaf, in shares of the oldest

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """The oldest and longest leaf first."""
        count = int(rng.integers(self.leaves[0], self.leaves[1] + 1))
        length = rng.uniform(*self.length)
        for k in range(count):
            age = k / count
            yield Stand(
                x=0.0,
                y=0.0,
                angle=k * GOLDEN_ANGLE + rng.normal(0, 0.12),
                length=length * (1 - (1 - self.youngest) * age) * rng.uniform(0.88, 1.08),
                lift=0.02 + 0.02 * age,
                bend=rng.normal(0, 0.09),
            )


@dataclass(frozen=True)
class Cross:
    """An upright stem seen from above: pairs of leaves, each pair across the one below."""

    pairs: tuple[int, int]
    length: Range

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """The lowest and largest pair first."""
        count = int(rng.integers(self.pairs[0], self.pairs[1] + 1))
        length = rng.uniform(*self.length)
        for k in range(count):
            turn = k * math.pi / 2 + rng.normal(0, 0.1)
            size = length * (1 - 0.74 * k / count)
            for side in (0.0, math.pi):
                angle = turn + side
                yield Stand(
                    x=0.03 * math.cos(angle),
                    y=0.03 * math.sin(angle),
                    angle=angle + rng.normal(0, 0.06),
                    length=size * rng.uniform(0.92, 1.06),
                    lift=0.02 + 0.012 * k,
                    bend=rng.normal(0, 0.06),
                )


@dataclass(frozen=True)
class Tuft:
    """Many narrow leaves from one foot, leaning every way."""

    leaves: tuple[int, int]
    length: Range

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """The outer leaves first."""
        count = int(rng.integers(self.leaves[0], self.leaves[1] + 1))
        for k in range(count):
            angle = k * GOLDEN_ANGLE + rng.normal(0, 0.3)
            foot = rng.uniform(0.0, 0.05)
            yield Stand(
                x=foot * math.cos(angle),
                y=foot * math.sin(angle),
                angle=angle,
                length=rng.uniform(*self.length) * (1 - 0.35 * k / count),
                lift=0.025,
                bend=rng.normal(0, 0.28),
            )


@dataclass(frozen=True)
class Sprig:
    """A leaning stem with leaves on both sides, facing each other or by turns, and one at its tip."""

    nodes: tuple[int, int]
    length: Range
    spread: float  # angle between leaf and stem, radians
    opposite: bool

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """The stem, then its leaves from foot to tip."""
        count = int(rng.integers(self.nodes[0], self.nodes[1] + 1))
        leaf_length = rng.uniform(*self.length)
        lean, length, bend = rng.normal(0, 0.05), rng.uniform(0.66, 0.74), rng.normal(0, 0.14)
        stem = Stand(-0.42, 0.0, lean, length, 0.02, bend, stalk=True)
        yield stem
        for k in range(count):
            share = (k + 0.6) / count
            sides = (1, -1) if self.opposite else ((1,) if k % 2 else (-1,))
            for side in sides:
                x, y = stem.point(share)
                yield Stand(
                    x,
                    y,
                    angle=stem.angle + 2 * stem.bend * share + side * (self.spread + rng.normal(0, 0.1)),
                    length=leaf_length * (1 - 0.5 * share**2) * rng.uniform(0.9, 1.08),
                    lift=0.022,
                    bend=-side * abs(rng.normal(0.08, 0.06)),
                )
        x, y = stem.point(1.0)
        yield Stand(x, y, stem.angle + 2 * stem.bend, leaf_length * 0.55, 0.025)


@dataclass(frozen=True)
class Frond:
    """Leaves made of many leaflets along a rib, spread around one foot."""

    fronds: tuple[int, int]
    length: Range
    leaflets: int

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """Each rib with its leaflets, frond over frond."""
        count = int(rng.integers(self.fronds[0], self.fronds[1] + 1))
        turn = rng.uniform(0, 2 * math.pi)
        for k in range(count):
            angle = turn + 2 * math.pi * k / count + rng.normal(0, 0.14)
            rib = Stand(0.0, 0.0, angle, rng.uniform(*self.length), 0.022, rng.normal(0, 0.2), stalk=True)
            yield rib
            for n in range(self.leaflets):
                share = 0.2 + 0.78 * n / self.leaflets
                x, y = rib.point(share)
                length = 0.3 * rib.length * (1 - share**2.2 * 0.8) * rng.uniform(0.92, 1.06)
                for side in (1, -1):
                    yield Stand(x, y, angle + 2 * rib.bend * share + side * 1.1, length, 0.014, -side * 0.1)
            x, y = rib.point(0.97)
            yield Stand(x, y, angle + 2 * rib.bend, 0.12 * rib.length, 0.014)


@dataclass(frozen=True)
class Stalked:
    """Leaves held on stalks, ``leaflets`` on each, crowded around one foot."""

    leaves: tuple[int, int]
    length: Range
    leaflets: int = 1

    def stands(self, rng: np.random.Generator) -> Iterator[Stand]:
        """All stalks, then the leaves over them, the innermost last."""
        count = int(rng.integers(self.leaves[0], self.leaves[1] + 1))
        length = rng.uniform(*self.length)
        turn = rng.uniform(0, 2 * math.pi)
        stalks = []
        for k in range(count):
            out = (0.45 - length) * (1 - k / count) ** 0.8 * rng.uniform(0.85, 1.1) + 0.02
            angle = turn + k * GOLDEN_ANGLE + rng.normal(0, 0.15)
            stalks.append(Stand(0.0, 0.0, angle, out, 0.012, rng.normal(0, 0.15), stalk=True))
        yield from stalks
        for k, stalk in enumerate(stalks):
            x, y = stalk.point(1.0)
            size = length * (1 - 0.3 * k / count) * rng.uniform(0.85, 1.1)
            heading = stalk.angle + 2 * stalk.bend + rng.normal(0, 0.2)
            for n in range(self.leaflets):
                fanned = (n - (self.leaflets - 1) / 2) * 2.05
                yield Stand(x, y, heading + fanned, size, 0.03 + 0.015 * k / count, rng.normal(0, 0.04))


# ---------------------------------------------------------------- species


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
    order = _rng(flora.seed, "order of the genera").permutation(len(GENERA))
    markings = [_rng(flora.seed, f"markings of {g.name}").permutation(len(MARKINGS)) for g in GENERA]
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
    rng = _rng(seed, f"{genus.name} {marking.epithet}")
    hue, saturation, value = rng.uniform(0.17, 0.46), rng.uniform(0.3, 0.7), rng.uniform(0.34, 0.66)
    # The second colour is paler or redder than the leaf, as it is in gardens.
    if rng.random() < 0.6:
        second = _colour(hue - 0.03, saturation * 0.4, min(value + 0.32, 0.95))
    else:
        second = _colour(rng.uniform(0.93, 1.03), rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.5))
    place = GENERA.index(genus) * len(MARKINGS) + MARKINGS.index(marking)
    return Species(
        # A name has one identifier whatever the seed. 10007 is prime: the identifiers scatter and never meet.
        species_id=str(1_350_000 + (1 + place) * 7_919 % 10_007),
        genus=genus,
        marking=marking,
        foliage=_colour(hue, saturation, value),
        second=second,
        gloss=rng.uniform(0.05, 0.3),
        bloom=_bloom(rng) if rng.random() < 0.55 else None,
    )


def _bloom(rng: np.random.Generator) -> Bloom:
    hue = float(rng.choice([0.0, 0.13, 0.15, 0.62, 0.75, 0.85, 0.92]))
    colour = _colour(hue, rng.uniform(0.1, 0.75), rng.uniform(0.86, 0.98))
    eye = _colour(rng.uniform(0.1, 0.15), 0.8, rng.uniform(0.6, 0.95))
    if rng.random() < 0.5:
        return Bloom(Blade(0.14, 0.7, 1.0), int(rng.integers(13, 19)), 0.085, (1, 3), colour, eye)
    return Bloom(Blade(0.42, 0.62, 1.0), 5, 0.06, (2, 6), colour, eye)


# ---------------------------------------------------------------- a plant


@dataclass(frozen=True)
class Organ:
    """A leaf, stalk or petal of one plant, ready to be painted."""

    stand: Stand
    outline: Outline
    colour: Colour
    second: Colour
    marking: Marking
    gloss: float
    phase: float


EYE = Fan(1, 0.0, 0)
PLAIN = MARKINGS[0]


def _plant(species: Species, rng: np.random.Generator) -> list[Organ]:
    """Grow one plant that was never seen before, as organs from the ground up."""
    tint, shade = rng.normal(0, 0.014), rng.normal(1, 0.07)
    foliage = _shifted(species.foliage, tint, shade)
    second = _shifted(species.second, tint, shade)
    organs = []
    for stand in species.genus.habit.stands(rng):
        leaf = rng.normal(1, 0.06)
        if stand.stalk:
            colour = _shifted(_mixed(species.foliage, (0.5, 0.36, 0.24), 0.4), 0.0, leaf)
            organs.append(Organ(stand, _stalk(stand.length), colour, colour, PLAIN, 0.1, 0.0))
            continue
        organs.append(
            Organ(
                stand=stand,
                outline=species.genus.outline,
                colour=_shifted(foliage, rng.normal(0, 0.008), leaf),
                second=_shifted(second, 0.0, leaf),
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


def _stalk(length: float) -> Blade:
    # A stalk is as thick on a long leaf as on a short one; outlines are in lengths.
    return Blade(round(0.009 / max(length, 0.05), 3), 0.2, 0.25)


def _flower(bloom: Bloom, x: float, y: float, rng: np.random.Generator) -> Iterator[Organ]:
    angle = rng.uniform(0, 2 * math.pi)
    size = bloom.length * rng.uniform(0.85, 1.12)
    for k in range(bloom.petals):
        turn = angle + 2 * math.pi * k / bloom.petals + rng.normal(0, 0.05)
        colour = _shifted(bloom.colour, 0.0, rng.normal(1, 0.03))
        yield Organ(Stand(x, y, turn, size, 0.035), bloom.petal, colour, colour, PLAIN, 0.1, 0.0)
    width = size * 0.5
    middle = Stand(x - width * 0.45, y, 0.0, width, 0.012)
    yield Organ(middle, EYE, bloom.eye, bloom.eye, PLAIN, 0.3, 0.0)


# ---------------------------------------------------------------- light and ground


@dataclass(frozen=True)
class Light:
    """Where the light comes from (a unit vector) and how the camera took it: a gain on red, green, blue."""

    x: float
    y: float
    gain: Colour


def _light(rng: np.random.Generator) -> Light:
    angle = rng.uniform(0, 2 * math.pi)
    exposure, warmth = rng.normal(1.08, 0.07), rng.normal(0, 0.025)
    gain = (exposure * (1 + warmth), exposure, exposure * (1 - warmth))
    return Light(math.cos(angle), math.sin(angle), gain)


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


def _ground(height: int, width: int, span: float, light: Light, rng: np.random.Generator) -> Pixels:
    """Bare ground seen from above, with its pebbles and straws; (3, height, width) in 0..1."""
    soil = SOILS[int(rng.integers(len(SOILS)))]
    broad = _noise(height, width, 0.7 * span, rng)
    lumps = _noise(height, width, 0.2 * span, rng)
    crumbs = 0.6 * _noise(height, width, 0.05 * span, rng) + 0.5 * _noise(height, width, 0.025 * span, rng)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    fall_y, fall_x = np.gradient(lumps + 0.55 * crumbs)
    lit = (fall_x * light.x + fall_y * light.y) * (-0.009 * span) + 0.04 * grain
    share = _smooth(-1.8, 1.8, 0.7 * broad + 0.45 * lumps + 0.5 * crumbs)
    ground = _between(soil.dark, soil.pale, share)
    if soil.moss:
        mossy = _smooth(-0.1, 0.9, broad + 0.4 * lumps + 0.6 * crumbs + 2 * (soil.moss - 0.5))
        ground += mossy * (_between(*MOSS, share + 0.1 * crumbs + 0.1 * grain) - ground)
    ground *= np.clip(1 + lit, 0.5, 1.5)
    for organ in _litter(soil, height / span, width / span, rng):
        _paint(ground, organ, Pose(0.0, 0.0, 0.0, span), light)
    return ground


def _noise(height: int, width: int, cell: float, rng: np.random.Generator) -> Pixels:
    """Smooth noise around 0 whose bumps are about ``cell`` px wide; (height, width) float32."""
    step = 0.5 * cell
    rows, cols = math.ceil(height / step) + 3, math.ceil(width / step) + 3
    coarse = rng.standard_normal((rows, cols), dtype=np.float32)
    # Blurred before it is enlarged, or the bumps would stand in the rows and columns of the coarse lattice.
    tall = coarse[2:] + 2 * coarse[1:-1] + coarse[:-2]
    smooth = (tall[:, 2:] + 2 * tall[:, 1:-1] + tall[:, :-2]) / 6
    box = (0, 0, width / step, height / step)
    return np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC, box=box))


def _litter(soil: Soil, height: float, width: float, rng: np.random.Generator) -> Iterator[Organ]:
    for _ in range(rng.poisson(soil.pebbles * height * width)):
        size = 0.025 + 0.06 * rng.random() ** 3
        grey = _shifted(_mixed(soil.pale, (0.62, 0.6, 0.57), rng.uniform(0.2, 1)), 0.0, rng.uniform(0.6, 1.1))
        stand = Stand(rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.3), size, 0.01)
        # Rounded, so that pebbles share a few outlines and their tables are kept.
        pebble = Blade(round(rng.uniform(0.32, 0.48), 2), 0.5, 1.0)
        yield Organ(stand, pebble, grey, grey, PLAIN, 0.3, 0.0)
    for _ in range(rng.poisson(soil.straws * height * width)):
        length = rng.uniform(0.1, 0.3)
        straw = _shifted((0.66, 0.56, 0.36), 0.0, rng.uniform(0.5, 1.1))
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.3)
        stand = Stand(x, y, angle, length, 0.006, rng.normal(0, 0.1))
        yield Organ(stand, _stalk(length), straw, straw, PLAIN, 0.2, 0.0)


# ---------------------------------------------------------------- painting


@dataclass(frozen=True)
class Pose:
    """Where a plant stands in a picture: its foot in px, its turn in radians, and the px of one span."""

    x: float
    y: float
    turn: float
    span: float


def _paint(canvas: Pixels, organ: Organ, pose: Pose, light: Light) -> None:
    """Lay one organ and its shadow on ``canvas``, (3, H, W).

    A pixel is covered by as much as the margin lies beyond its middle, which smooths edges as supersampling
    does at a fraction of its price.
    """
    stand = organ.stand
    cos, sin = math.cos(pose.turn), math.sin(pose.turn)
    x = pose.x + (stand.x * cos - stand.y * sin) * pose.span
    y = pose.y + (stand.x * sin + stand.y * cos) * pose.span
    cos, sin = math.cos(pose.turn + stand.angle), math.sin(pose.turn + stand.angle)
    length = stand.length * pose.span
    fall = stand.lift * pose.span
    blur = 0.35 * fall + 0.7

    # Only the pixels around the organ are touched: its bent axis, widened by the leaf and by its shadow.
    wide = organ.outline.reach * length + fall + blur + 1
    axis = [(share * length, stand.bend * share * share * length) for share in (0.0, 0.5, 1.0)]
    xs = [x + u * cos - v * sin for u, v in axis]
    ys = [y + u * sin + v * cos for u, v in axis]
    left, right = max(int(min(xs) - wide), 0), min(int(max(xs) + wide) + 1, canvas.shape[2])
    top, bottom = max(int(min(ys) - wide), 0), min(int(max(ys) + wide) + 1, canvas.shape[1])
    if left >= right or top >= bottom:
        return
    box = canvas[:, top:bottom, left:right]
    east = np.arange(left, right, dtype=np.float32)[None, :] + (0.5 - x)
    south = np.arange(top, bottom, dtype=np.float32)[:, None] + (0.5 - y)
    u = (east * cos + south * sin) / length
    straight = (south * cos - east * sin) / length

    # The shadow is the leaf once more, from where the light has moved it; both are looked up in one go.
    drift = np.array([light.x * cos + light.y * sin, 0], np.float32)[:, None, None] * (fall / length)
    shear = np.array([light.y * cos - light.x * sin, 0], np.float32)[:, None, None] * (fall / length)
    u = u + drift
    both = organ.outline.surface(u, straight + shear - stand.bend * u * u)
    box *= 1 - 0.5 * _smooth(-blur, blur, both.depth[0] * length)

    leaf = Surface(both.depth[1] * length, both.along[1], both.across[1], both.outward[1], both.vein[1])
    side = light.y * cos - light.x * sin  # how far the light comes from the leaf's one side or the other
    shade = np.minimum(0.52 * leaf.along, 0.26)
    shade += leaf.across * (-0.16 * side)
    shade += organ.gloss * leaf.along * np.maximum(1 - 9 * (leaf.across - 0.45 * side) ** 2, 0)
    shade += 0.16 * _unit(leaf.depth * (1 / (0.012 * pose.span)))
    shade += 0.14 * leaf.vein + 0.64
    colour = _between(organ.colour, organ.second, organ.marking.amount(leaf, organ.phase))
    colour *= shade
    colour -= box
    colour *= _unit(leaf.depth + 0.5)
    box += colour


def _developed(canvas: Pixels, light: Light, rng: np.random.Generator) -> bytes:
    """Turn a painted canvas into the bytes of a JPEG: exposed, with the grain of a sensor."""
    exposed = canvas * np.asarray(light.gain, np.float32)[:, None, None]
    exposed += rng.standard_normal(canvas.shape[1:], dtype=np.float32) * 0.012
    levels = (_unit(exposed) * 255 + 0.5).astype(np.uint8)
    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))).save(
        memory, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return memory.getvalue()


def _between(one: Colour, other: Colour, share: Pixels) -> Pixels:
    """Mix two colours pixel by pixel; (H, W) -> (3, H, W)."""
    mixed = np.empty((3, *share.shape), np.float32)
    for channel in range(3):
        np.multiply(share, other[channel] - one[channel], out=mixed[channel])
        mixed[channel] += one[channel]
    return mixed


def _colour(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    return (
        one[0] + share * (other[0] - one[0]),
        one[1] + share * (other[1] - one[1]),
        one[2] + share * (other[2] - one[2]),
    )


def _shifted(colour: Colour, tint: float, shade: float) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    return _colour(hue + tint, saturation, min(max(value * shade, 0.05), 1.0))


# ---------------------------------------------------------------- pictures

PLANT_COLUMNS = ("image", "observation", "species_id", "scientific_name", "split")
QUADRAT_COLUMNS = ("image", "quadrat", "species_ids")


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
        plant = _plant(self.species, _rng(flora.seed, self.observation))
        rng = _rng(flora.seed, self.image)
        side, light = flora.tile_px, _light(rng)
        span = side * rng.uniform(*NEARNESS)
        canvas = _ground(side, side, span, light, rng)
        x, y = side * rng.normal(0.5, 0.03), side * rng.normal(0.5, 0.03)
        pose = Pose(x, y, rng.uniform(0, 2 * math.pi), span)
        for organ in plant:
            _paint(canvas, organ, pose, light)
        return _developed(canvas, light, rng)


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
        rng = _rng(flora.seed, self.image)
        span, light = flora.tile_px, _light(rng)
        canvas = _ground(flora.quadrat_rows * span, flora.quadrat_cols * span, span, light, rng)
        # Plants overlap their neighbours; were they painted in reading order, the last row would always win.
        for cell in rng.permutation(len(self.cells)):
            species = self.cells[cell]
            if species is None:
                continue
            row, col = divmod(int(cell), flora.quadrat_cols)
            x, y = (col + rng.normal(0.5, 0.07)) * span, (row + rng.normal(0.5, 0.07)) * span
            pose = Pose(x, y, rng.uniform(0, 2 * math.pi), span * rng.uniform(*NEARNESS))
            for organ in _plant(species, _rng(flora.seed, f"{self.quadrat} {cell}")):
                _paint(canvas, organ, pose, light)
        return _developed(canvas, light, rng)


def _plant_pictures(flora: Flora) -> Iterator[PlantPicture]:
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


def _quadrat_pictures(flora: Flora) -> Iterator[QuadratPicture]:
    species = species_of(flora)
    cell_count = flora.quadrat_rows * flora.quadrat_cols
    for number in range(1, flora.quadrat_count + 1):
        quadrat = f"Q{number:02d}"
        rng = _rng(flora.seed, f"cells of {quadrat}")
        most = min(5, cell_count // 2, len(species))
        present = rng.choice(len(species), int(rng.integers(2, most + 1)), replace=False)
        # Two cells for each first: a species seen in one tile only could not be found by two votes.
        cells: list[Species | None] = [species[n] for n in present for _ in range(2)]
        while len(cells) < cell_count:
            cells.append(None if rng.random() < BARE_SHARE else species[rng.choice(present)])
        order = rng.permutation(cell_count)
        yield QuadratPicture(f"quadrats/{quadrat}.jpg", quadrat, tuple(cells[n] for n in order))


def _rng(seed: int, name: str) -> np.random.Generator:
    # One generator for each name, so that a picture does not depend on which others were drawn before it.
    return np.random.default_rng(list(hashlib.sha256(f"{seed} {name}".encode()).digest()))


# ---------------------------------------------------------------- the folder


def _unheard(count: int) -> None:
    """Let the progress of a drawing pass."""


def draw(flora: Flora, folder: Path, on_drawn: Callable[[int], None] = _unheard) -> Drawn:
    """Draw a flora to a folder: ``plants/`` and ``quadrats/``, then ``plants.csv`` and ``quadrats.csv``.

    A picture that is there is kept, so a finished folder costs no drawing and a killed one is completed to
    the same bytes. The CSV files come last: where they are, every picture they name is. The paths in them
    start at the folder.

    Args:
        flora: What to draw.
        folder: Is made if need be.
        on_drawn: Is told after each picture how many of ``flora.picture_count`` are there.

    Raises:
        ValueError: If the folder holds the drawing of another flora, or files of these names and no drawing.
    """
    _claim(flora, folder)
    plants, quadrats = list(_plant_pictures(flora)), list(_quadrat_pictures(flora))
    pictures: list[PlantPicture | QuadratPicture] = [*plants, *quadrats]
    new = 0
    for count, picture in enumerate(pictures, start=1):
        path = folder / picture.image
        if not path.exists():
            _write(path, picture.jpeg(flora))
            new += 1
        on_drawn(count)
    plants_csv, quadrats_csv = folder / "plants.csv", folder / "quadrats.csv"
    if not plants_csv.exists():
        _write(plants_csv, _csv(PLANT_COLUMNS, [plant.row for plant in plants]))
    if not quadrats_csv.exists():
        _write(quadrats_csv, _csv(QUADRAT_COLUMNS, [quadrat.row for quadrat in quadrats]))
    return Drawn(folder, plants_csv, quadrats_csv, len(pictures), new)


def _claim(flora: Flora, folder: Path) -> None:
    """Note in the folder which flora is drawn there, before the first picture."""
    note = folder / "flora.json"
    asked = {"drawing": DRAWING, **asdict(flora)}
    if note.exists():
        found = json.loads(note.read_bytes())
        if found != asked:
            raise ValueError(f"asked to draw {asked} in {folder}, which holds the drawing of {found}")
        return
    # Without the note these are somebody's own, and keeping or replacing them would both be wrong.
    names = ("plants", "quadrats", "plants.csv", "quadrats.csv")
    strange = [name for name in names if (folder / name).exists()]
    if strange:
        raise ValueError(f"asked to draw in {folder}, which holds {', '.join(strange)} but no flora.json")
    _write(note, json.dumps(asked, indent=2).encode())


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, content: bytes) -> None:
    """Put a whole file in place or none; what a killed run left under the passing name is written over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(path.name + ".part")
    passing.write_bytes(content)
    passing.replace(path)
