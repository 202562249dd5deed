"""How the leaves of a plant stand, seen from above. Leaves to others what a leaf looks like."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

Range: TypeAlias = tuple[float, float]
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


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
