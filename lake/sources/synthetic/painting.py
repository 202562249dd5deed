"""How an organ, its light and its shadow become pixels. Leaves to others what grows and where it stands."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lake.sources.synthetic.colours import Colour, between
from lake.sources.synthetic.habits import Stand
from lake.sources.synthetic.markings import Marking
from lake.sources.synthetic.outlines import Outline, Surface
from lake.sources.synthetic.pixels import Pixels, smooth, unit

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Organ:
    """A leaf, stalk or petal of one plant, or a pebble or straw of the ground, ready to be painted."""

    stand: Stand
    outline: Outline
    colour: Colour
    second: Colour
    marking: Marking
    gloss: float
    phase: float


@dataclass(frozen=True)
class Light:
    """Where the light comes from (a unit vector) and how the camera took it: a gain on red, green, blue."""

    x: float
    y: float
    gain: Colour


@dataclass(frozen=True)
class Pose:
    """Where a plant stands in a picture: its foot in px, its turn in radians, and the px of one span."""

    x: float
    y: float
    turn: float
    span: float


def daylight(rng: np.random.Generator) -> Light:
    """Return the light of one picture: from any side, a little warm or cold, well or badly exposed."""
    angle = rng.uniform(0, 2 * math.pi)
    exposure, warmth = rng.normal(1.08, 0.07), rng.normal(0, 0.025)
    gain = (exposure * (1 + warmth), exposure, exposure * (1 - warmth))
    return Light(math.cos(angle), math.sin(angle), gain)


def paint(canvas: Pixels, organ: Organ, pose: Pose, light: Light) -> None:
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
    box *= 1 - 0.5 * smooth(-blur, blur, both.depth[0] * length)

    leaf = Surface(both.depth[1] * length, both.along[1], both.across[1], both.outward[1], both.vein[1])
    side = light.y * cos - light.x * sin  # how far the light comes from the leaf's one side or the other
    shade = np.minimum(0.52 * leaf.along, 0.26)
    shade += leaf.across * (-0.16 * side)
    shade += organ.gloss * leaf.along * np.maximum(1 - 9 * (leaf.across - 0.45 * side) ** 2, 0)
    shade += 0.16 * unit(leaf.depth * (1 / (0.012 * pose.span)))
    shade += 0.14 * leaf.vein + 0.64
    colour = between(organ.colour, organ.second, organ.marking.amount(leaf, organ.phase))
    colour *= shade
    colour -= box
    colour *= unit(leaf.depth + 0.5)
    box += colour


def develop(canvas: Pixels, light: Light, rng: np.random.Generator) -> bytes:
    """Turn a painted canvas into the bytes of a JPEG: exposed, with the grain of a sensor."""
    exposed = canvas * np.asarray(light.gain, np.float32)[:, None, None]
    exposed += rng.standard_normal(canvas.shape[1:], dtype=np.float32) * 0.012
    levels = (unit(exposed) * 255 + 0.5).astype(np.uint8)
    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))).save(
        memory, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return memory.getvalue()
