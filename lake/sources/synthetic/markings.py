"""Where on a leaf its second colour lies. Leaves the colours to the species and the shape to the outline."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lake.sources.synthetic.outlines import Surface
from lake.sources.synthetic.pixels import Pixels, smooth


@dataclass(frozen=True)
class Marking:
    """Where on a leaf its second colour lies, (H, W) in 0..1, and the epithet given to such leaves."""

    epithet: str
    amount: Callable[[Surface, float], Pixels]


def _spots(leaf: Surface, phase: float) -> Pixels:
    rows = np.sin(leaf.along * 19 + phase)
    return smooth(0.25, 0.5, rows * np.sin(leaf.across * 6.3 + 1.57 * np.sign(rows) + phase * 3))


def _stripes(leaf: Surface, phase: float) -> Pixels:
    return smooth(0.1, 0.5, np.cos(leaf.across * 10 + phase * 0.1)) * smooth(0.02, 0.2, leaf.along)


def _margins(leaf: Surface, phase: float) -> Pixels:
    return smooth(0.7, 0.84, leaf.outward + 0.05 * np.sin(leaf.along * 23 + phase))


def _zone(leaf: Surface, _phase: float) -> Pixels:
    return smooth(0.17, 0.09, np.abs(leaf.along + 0.3 * np.abs(leaf.across) - 0.68))


def _veins(leaf: Surface, _phase: float) -> Pixels:
    return leaf.vein


def _eye(leaf: Surface, _phase: float) -> Pixels:
    return 1 - smooth(0.2, 0.75, leaf.along + 0.15 * np.abs(leaf.across))


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
PLAIN = MARKINGS[0]
