"""Encoded photographs that show nothing but what a rule is about."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image file."""
    file = BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def plain(*colours: str, width: int = 96, height: int = 84) -> bytes:
    """Draw stripes of equal width, one for each colour, from left to right."""
    image = Image.new("RGB", (width, height))
    for position, colour in enumerate(colours):
        image.paste(colour, (width * position // len(colours), 0, width * (position + 1) // len(colours), height))
    return encoded(image)


def noise(seed: int, width: int = 96, height: int = 84) -> Image.Image:
    """Draw pixels of which none is like its neighbour: whatever is done differently to them shows."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def scene(seed: int, width: int, height: int) -> Image.Image:
    """Draw leaves of all sizes on mottled ground: edges and plain stretches, as large photographs have them."""
    random = np.random.default_rng(seed)
    ground = random.integers(60, 140, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(ground).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(120):
        x, y = random.uniform(0, width), random.uniform(0, height)
        across, down = random.uniform(0.01, 0.12, 2) * (width, height)
        pen.ellipse((x - across, y - down, x + across, y + down), fill=tuple(random.integers(0, 256, 3).tolist()))
    return image
