"""Photograph-like JPEGs for the benchmarks: smooth shapes and grain, so that they compress like photographs."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def photograph(generator: np.random.Generator, width: int, height: int) -> bytes:
    """Draw one JPEG: colours that change smoothly, edges, and the grain of a sensor."""
    blobs = generator.integers(0, 256, (max(2, height // 20), max(2, width // 20), 3), dtype=np.uint8)
    smooth = Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)
    grain = generator.normal(0, 9, (height, width, 3)).astype(np.float32)
    seen = (np.asarray(smooth, dtype=np.float32) + grain).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(seen).save(file, "JPEG", quality=85)
    return file.getvalue()


def numbered(content: bytes, number: int) -> bytes:
    """Return a JPEG with a comment right after its start: other bytes, the same picture."""
    said = f"photograph {number:012}".encode()
    return content[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + content[2:]


def lay(folder: Path, bases: list[bytes], count: int) -> Path:
    """Lay a folder of so many different JPEGs, 200 to a species, each of them one of the bases under a comment."""
    if not folder.is_dir():
        for number in range(count):
            path = folder / f"species_{number // 200:04}" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(numbered(bases[number % len(bases)], number))
    return folder
