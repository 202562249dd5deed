"""Encoded bytes to the pixels that a backbone expects, as its own image processor would make them.

The steps are read from the ``preprocessor_config.json`` beside the weights and done here with Pillow: importing the
processors costs seconds, and normalisation belongs on the device. A large photograph is not decoded in full where the
network sees it small: JPEG decodes to a half, a quarter or an eighth of the size in much less time.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modeling.errors import BackboneError, TilingError
from modeling.tiling import Scheme, Tile

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
    # A photograph is decoded, and shrunk by whole pixels, to no less than this many times what the network sees; the
    # rest is interpolated. At 2 what comes out is that of the full photograph to 53 dB; None decodes in full.
    reducing_gap: float | None = 2.0
    jpeg_round_trip: str | None = None  # QUALITY-SUBSAMPLING: each tile is encoded so and decoded again

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
_SIDEWAYS = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_PROGRAMS = frozenset({"EPS"})  # Pillow would have Ghostscript run what the file says
_REDUCIBLE = frozenset({"JPEG", "MPO"})
_REDUCTIONS = (8, 4, 2, 1)
_LONG_STRIP = 64  # times the crop: photographs are never so long, boxes may be
_ROUND_TRIP = re.compile(r"(\d{1,3})-(4:4:4|4:2:2|4:2:0)")


@dataclass(frozen=True)
class TilePixels:
    """What the network sees of one photograph under one scheme, or why it sees nothing."""

    scheme_id: str
    tiles: list[Tile]  # (N)
    pixels: list[Pixels]  # (N), each (height, width, 3)
    failure: str | None = None


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


def require_round_trip(text: str) -> str:
    """Return a JPEG round trip that can be done: quality from 1 to 95 and chroma subsampling, such as 85-4:2:2.

    Raises:
        BackboneError: If it is none.
    """
    match = _ROUND_TRIP.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 95:
        raise BackboneError(
            f"there is no JPEG round trip {text!r}; say QUALITY-SUBSAMPLING: 1 to 95, and 4:4:4, 4:2:2 or 4:2:0, "
            f"such as 85-4:2:2"
        )
    return f"{int(match[1])}-{match[2]}"


def cut(content: bytes, schemes: Sequence[Scheme], steps: Preprocessing) -> list[TilePixels]:
    """Decode a photograph and cut it by each scheme; what a scheme gives does not depend on the others.

    It is decoded once for all schemes that need it at the same size.

    Returns:
        The tiles of each scheme, in the order of the schemes. One that does not fit the photograph gives a failure.

    Raises:
        OSError, SyntaxError, ValueError: Whatever the format's decoder raises for bad bytes.
    """
    size, reductions = _inspect(content)
    decoded: dict[int, Image.Image] = {}
    done = []
    for scheme in schemes:
        try:
            tiles = scheme.tiles(*size)
        except TilingError as error:
            done.append(TilePixels(scheme.scheme_id, [], [], str(error)))
            continue
        reduction = _reduction(tiles, scheme.tile_px, steps, reductions)
        if reduction not in decoded:
            decoded[reduction] = decode(content, reduction)
        pixels = [prepare(decoded[reduction], tile, steps, reduction, scheme.tile_px) for tile in tiles]
        done.append(TilePixels(scheme.scheme_id, tiles, pixels))
    return done


def decode(content: bytes, reduction: int = 1) -> Image.Image:
    """Decode a photograph: upright, RGB, 8 bits a channel.

    Args:
        content: The encoded bytes.
        reduction: 2, 4 or 8 gives a JPEG at that part of its size, rounded up, without ever decoding the whole.

    Raises:
        OSError, SyntaxError, ValueError: Whatever the format's decoder raises for bad bytes.
    """
    with _open(content) as image:
        if reduction > 1:
            image.draft(None, (max(1, image.width // reduction), max(1, image.height // reduction)))
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


def _open(content: bytes) -> Image.Image:
    Image.init()
    return Image.open(BytesIO(content), formats=[name for name in Image.OPEN if name not in _PROGRAMS])


def _inspect(content: bytes) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return (width, height) of the upright photograph, and at which parts of its size it can be decoded."""
    with _open(content) as image:
        turn = _turn(image)
        size = (image.height, image.width) if turn in _SIDEWAYS else image.size
        if image.format not in _REDUCIBLE:
            return size, (1,)
        if turn is None:
            return size, _REDUCTIONS
        # What a division leaves over is a part of a pixel at the right and lower edge; turned, it would lie at the
        # others and shift all that is between.
        return size, tuple(part for part in _REDUCTIONS if not image.width % part and not image.height % part)


def _reduction(tiles: Sequence[Tile], tile_px: int | None, steps: Preprocessing, reductions: tuple[int, ...]) -> int:
    """Return the part of the size at which every tile still has ``reducing_gap`` times the pixels that it needs."""
    if steps.reducing_gap is None or (steps.resize is None and tile_px is None):
        return 1
    spare = min(
        min((tile.x1 - tile.x0) / width, (tile.y1 - tile.y0) / height)
        for tile in tiles
        for width, height in [_scaled(tile, tile_px, steps)]
    )
    return next((part for part in reductions if spare >= part * steps.reducing_gap), 1)


def _scaled(tile: Tile, tile_px: int | None, steps: Preprocessing) -> tuple[int, int]:
    """Return (width, height) to which a tile is first scaled."""
    if tile_px is not None:
        return tile_px, tile_px
    size = (tile.x1 - tile.x0, tile.y1 - tile.y0)
    return size if steps.resize is None else _target(size, steps.resize)


def _upright(image: Image.Image) -> Image.Image:
    """Return an image as its EXIF block says that it was held; as it lies where that is broken or says nothing."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    orientation = None
    # Whatever its parser raises; Pillow's own exif_transpose would raise it too.
    with suppress(Exception):
        orientation = image.getexif().get(_ORIENTATION)
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def prepare(
    image: Image.Image,
    tile: Tile,
    steps: Preprocessing,
    reduction: int = 1,
    tile_px: int | None = None,
) -> Pixels:
    """Take one tile out of a decoded photograph, resize and crop it.

    Args:
        image: The photograph as it was decoded.
        tile: In pixels of the source.
        steps: What the backbone's own image processor does.
        reduction: At which part of its size it was decoded.
        tile_px: The tile is first scaled to a square of this side.

    Returns:
        (height, width, 3) uint8; normalisation is left to the device.
    """
    box = (tile.x0 / reduction, tile.y0 / reduction, tile.x1 / reduction, tile.y1 / reduction)
    seen = image
    if tile_px is not None:
        # Lanczos, as those who scale a quadrat before they cut it do.
        seen = image.resize((tile_px, tile_px), Image.Resampling.LANCZOS, box, steps.reducing_gap)
        if steps.resize is not None:
            seen = seen.resize(_target(seen.size, steps.resize), _filter(steps))
    elif steps.resize is not None:
        # From the box at once: interpolation at its edge looks at the pixels beyond, as in the whole photograph.
        target = _target((tile.x1 - tile.x0, tile.y1 - tile.y0), steps.resize)
        target, box = _middle(target, box, steps.crop)
        seen = image.resize(target, _filter(steps), box, steps.reducing_gap)
    elif box != (0, 0, *image.size):
        seen = image.crop((tile.x0, tile.y0, tile.x1, tile.y1))
    if steps.crop is not None:
        height, width = steps.crop
        left, top = (seen.width - width) // 2, (seen.height - height) // 2
        # Where the image is the smaller one, Pillow fills with black, as the processors do.
        seen = seen.crop((left, top, left + width, top + height))
    return np.asarray(seen if steps.jpeg_round_trip is None else _round_trip(seen, steps.jpeg_round_trip))


def _middle(
    target: tuple[int, int], box: tuple[float, float, float, float], crop: tuple[int, int] | None
) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """Return the part of a long strip to scale, and to what: its ends would be scaled to be cropped, and fill memory.

    Args:
        target: (width, height) in px to which the whole box would be scaled.
        box: x0, y0, x1, y1 in the image.
        crop: (height, width) in px that is kept of the middle.
    """
    if crop is None:
        return target, box
    (x0, x1, width), (y0, y1, height) = (
        _middle_span(*span) for span in zip(box[:2], box[2:], target, reversed(crop), strict=True)
    )
    return (width, height), (x0, y0, x1, y1)


def _middle_span(start: float, end: float, length: int, kept: int) -> tuple[float, float, int]:
    """Return where the middle of one side begins and ends in the image, and to how many px it is scaled."""
    most = _LONG_STRIP * kept
    if length <= most:
        return start, end, length
    # By whole pixels of what it is scaled to: the crop then takes the very pixels that it would take of the whole.
    skipped = (length - kept) // 2 - (most - kept) // 2
    step = (end - start) / length
    return start + skipped * step, start + (skipped + most) * step, most


def _filter(steps: Preprocessing) -> Image.Resampling:
    return Image.Resampling[steps.interpolation.upper()]


def _round_trip(image: Image.Image, how: str) -> Image.Image:
    """Encode and decode again: the traces of compression that photographs from the web have, and crops have not."""
    quality, _, subsampling = how.partition("-")
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=int(quality), subsampling=subsampling)
    return Image.open(encoded).convert("RGB")


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
