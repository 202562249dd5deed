"""Encoded bytes to the pixels that a backbone expects, as its own image processor would make them.

The steps are read from the ``preprocessor_config.json`` beside the weights and done here with Pillow: importing the
processors costs seconds, and normalisation belongs on the device.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modeling.errors import BackboneError
from modeling.tiling import Tile

Pixels = NDArray[np.uint8]
# To these a size of one number is the shorter edge; to all others (ViT, DeiT, BEiT) it is a square.
_SHORTER_EDGE = ("Bit", "CLIP")


@dataclass(frozen=True)
class Preprocessing:
    """Everything between the bytes of a photograph and the numbers that enter the network."""

    resize: tuple[int, ...] | None  # (shortest edge,) or (height, width) in px
    interpolation: str  # as Pillow names it
    crop: tuple[int, int] | None  # (height, width) in px, from the centre
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    decode: str = "pillow"
    orientation: str = "exif"
    jpeg_round_trip: str | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """The steps as JSON values, for the embedding key."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in px of what enters the network."""
        if self.crop is not None:
            return self.crop
        if self.resize is not None and len(self.resize) == 2:
            return self.resize[0], self.resize[1]
        raise BackboneError("the image processor gives images of no fixed size: it neither crops nor resizes to one")


_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROGRAMS = frozenset({"EPS"})  # Pillow would have Ghostscript run what the file says


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read the steps of a model's own image processor.

    Raises:
        BackboneError: If there is no such file, or it leaves a step open, or asks for steps that are not known.
    """
    path = folder / "preprocessor_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return _steps(config, path)
    except FileNotFoundError:
        raise BackboneError(
            f"{folder} has no preprocessor_config.json: how its images are resized, cropped and normalised is not known"
        ) from None
    # Not guessed: the processors' defaults differ from class to class.
    except KeyError as missing:
        raise BackboneError(f"{path} does not say {missing}") from None
    except (ValueError, TypeError) as error:
        raise BackboneError(f"{path} does not hold the steps of an image processor: {error}") from error


def _steps(config: dict[str, Any], path: Path) -> Preprocessing:
    processor = str(config.get("image_processor_type") or config.get("feature_extractor_type"))
    rescale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    normalize = config.get("do_normalize", True)
    steps = Preprocessing(
        resize=_resize(config["size"], processor, path) if config.get("do_resize", True) else None,
        interpolation=Image.Resampling(config["resample"]).name.lower(),
        crop=_pair(config.get("crop_size"), path) if config.get("do_center_crop", False) else None,
        mean=_three(config["image_mean"]) if normalize else (0.0, 0.0, 0.0),
        std=_three(config["image_std"]) if normalize else (1.0, 1.0, 1.0),
        scale=rescale,
    )
    try:
        _ = steps.size
    except BackboneError as error:  # here, where the file can be named, and not at the first photograph
        raise BackboneError(f"{path}: {error}") from None
    return steps


def decode(content: bytes) -> Image.Image:
    """Decode a photograph: upright, RGB, 8 bits a channel.

    Raises:
        OSError, SyntaxError, ValueError: Whatever the format's decoder raises for bad bytes.
    """
    Image.init()
    formats = [name for name in Image.OPEN if name not in _PROGRAMS]
    with Image.open(BytesIO(content), formats=formats) as image:
        image.load()
        upright = _upright(image)
        if upright.has_transparency_data:
            # On white, where the processors put it; convert() would bring out the colours that nobody sees.
            seen = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
        if upright.mode in {"I;16", "I;16B", "I;16L", "I"}:
            # convert() would clip 16-bit values at 255 instead of scaling them.
            upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        return upright.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Return an image as its EXIF block says that it was held; as it lies where that is broken or says nothing."""
    orientation = None
    # Whatever its parser raises; Pillow's own exif_transpose would raise it too.
    with suppress(Exception):
        orientation = image.getexif().get(_ORIENTATION)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def prepare(image: Image.Image, tile: Tile, steps: Preprocessing) -> Pixels:
    """Cut one tile out of a decoded image, resize and crop it.

    Returns:
        (height, width, 3) uint8; normalisation is left to the device.
    """
    cut = (
        image
        if (tile.x1 - tile.x0, tile.y1 - tile.y0) == image.size
        else image.crop((tile.x0, tile.y0, tile.x1, tile.y1))
    )
    if steps.resize is not None:
        cut = cut.resize(_target(cut.size, steps.resize), Image.Resampling[steps.interpolation.upper()])
    if steps.crop is not None:
        height, width = steps.crop
        left, top = (cut.width - width) // 2, (cut.height - height) // 2
        # Where the image is the smaller one, Pillow fills with black, as the processors do.
        cut = cut.crop((left, top, left + width, top + height))
    return np.asarray(cut)


def _target(size: tuple[int, int], resize: tuple[int, ...]) -> tuple[int, int]:
    """Return (width, height) after resizing; the long side is cut to whole pixels, as transformers does."""
    if len(resize) == 2:
        return resize[1], resize[0]
    width, height = size
    short = resize[0]
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _resize(size: Any, processor: str, path: Path) -> tuple[int, ...]:
    if isinstance(size, int) and processor.startswith(_SHORTER_EDGE):
        return (size,)
    if isinstance(size, dict) and set(size) == {"shortest_edge"}:
        return (int(size["shortest_edge"]),)
    return _pair(size, path)


def _pair(size: Any, path: Path) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    raise BackboneError(f"{path} asks for the size {size!r}; known are an edge, or height and width")


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
