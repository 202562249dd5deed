"""The shapes of leaves: of any pixel, whether it lies on a leaf and where. Leaves colour and place to others."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from lake.sources.synthetic.pixels import Pixels, unit

# Outlines are looked up, not computed: a picture asks for a million of their points.
STEPS = 1024


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
        index = (unit(0.5 * u + 0.25) * (STEPS - 1)).astype(np.int32)
        half_width, aside, along = half_widths[index], np.abs(v), unit(u)
        depth = (half_width - aside) * flatness[index]
        outward = np.minimum(aside / np.maximum(half_width, 1e-3), 1)
        vein = unit(1 - aside * 55)
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


def stalk_outline(length: float) -> Blade:
    """Return the outline of a stalk or straw of ``length`` spans.

    A stalk is as thick on a long leaf as on a short one, while outlines are in lengths.
    """
    return Blade(round(0.009 / max(length, 0.05), 3), 0.2, 0.25)
