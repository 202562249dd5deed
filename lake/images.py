"""Bytes to facts about an image, or the reason why it is refused. Every image is fully decoded once, here."""

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

# A 13,300 px square photograph; more is a bomb or a scan that has to be cut first. Above 178,956,970 Pillow refuses
# by itself, here and wherever the image is decoded again.
MAX_PIXELS = 178_000_000
_PROGRAMS = frozenset({"EPS"})  # Pillow would have Ghostscript run what the file says
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image that decodes."""

    format: str
    width_px: int  # upright
    height_px: int


@dataclass(frozen=True)
class Refusal:
    """Why an image is set aside."""

    kind: str  # empty, unreadable, truncated, too_large
    detail: str


def identity(content: bytes) -> str:
    """Return the ``image_id``: sha256 of the bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def examine(content: bytes) -> ImageFacts | Refusal:
    """Decode an image fully and return what is known of it, or why it is refused. Never raises for bad bytes."""
    if not content:
        return Refusal("empty", "the file has no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size at which it raises; the limit here is ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.init()
            formats = [name for name in Image.OPEN if name not in _PROGRAMS]
            with Image.open(BytesIO(content), formats=formats) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return Refusal("too_large", f"{width}x{height} px; the limit is {MAX_PIXELS:,} pixels")
                # verify() would pass truncated JPEGs: only a full decode finds them.
                image.load()
                if image.getexif().get(_ORIENTATION) in _TURNED:
                    width, height = height, width
                return ImageFacts(image.format or "unknown", width, height)
    except UnidentifiedImageError:
        return Refusal("unreadable", f"not an image: the file begins with {content[:16]!r}")
    except Image.DecompressionBombError as error:
        return Refusal("too_large", str(error))
    # Decoders raise whatever their format's parser does (OSError, SyntaxError, struct.error, zlib.error, ...); a
    # hostile file must not end the run of the good ones.
    except Exception as error:
        kind = "truncated" if "truncated" in str(error).lower() else "unreadable"
        return Refusal(kind, f"{type(error).__name__}: {error}")
