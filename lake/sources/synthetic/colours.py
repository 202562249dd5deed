"""Colours and how they mix: red, green and blue in 0..1. Which colour a thing has is left to the thing."""

import colorsys
from typing import TypeAlias

import numpy as np

from lake.sources.synthetic.pixels import Pixels

Colour: TypeAlias = tuple[float, float, float]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the colour of a hue in turns, where 1.1 is 0.1 again, and of a saturation and value in 0..1."""
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return ``one`` with ``share`` of it replaced by ``other``."""
    return (
        one[0] + share * (other[0] - one[0]),
        one[1] + share * (other[1] - one[1]),
        one[2] + share * (other[2] - one[2]),
    )


def shifted(colour: Colour, tint: float, shade: float) -> Colour:
    """Return a colour with ``tint`` turns added to its hue and its value times ``shade``."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    return hsv(hue + tint, saturation, min(max(value * shade, 0.05), 1.0))


def between(one: Colour, other: Colour, share: Pixels) -> Pixels:
    """Mix two colours pixel by pixel; (H, W) -> (3, H, W)."""
    mixture = np.empty((3, *share.shape), np.float32)
    for channel in range(3):
        np.multiply(share, other[channel] - one[channel], out=mixture[channel])
        mixture[channel] += one[channel]
    return mixture
