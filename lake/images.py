"""Bytes to facts about an image, or the reason why it is refused. Every image is read to its end once, here.

Safe in many threads at once. Nothing is known here of where the bytes came from.
"""

import hashlib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from lake.text import plain

# A 13,300 px square photograph; more is a bomb or a scan that has to be cut first. Above 178,956,970 Pillow refuses
# by itself, here and wherever the image is decoded again.
MAX_PIXELS = 178_000_000
# Less is a spacer or a tracking pixel of a web page; no organism can be seen on it.
MIN_SIDE_PX = 8
_MOST_SIGNS = 300
_PROGRAMS = frozenset({"EPS"})  # Pillow would have Ghostscript run what the file says
# Asked first, as nearly every photograph is one of them, and some of the forty others try to parse whatever they get.
_COMMON = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
# Those from which the embedding makes the right colours. Left out are numbers of no known range (F), and what Pillow
# cannot turn into RGB (La) or clips (I;16N).
_GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"})
_MODES = _GREY | {"P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"}
_SIXTEEN_BITS = 65_535
# Several pictures, of which the first is the photograph: an MPO of a phone or a 3D camera adds a depth map or the other
# eye's view, a PSD its layers.
_FIRST_IS_WHOLE = frozenset({"MPO", "PSD"})
_SCALABLE = frozenset({"JPEG", "MPO"})
_MOST_COUNTED = 1000
_SUBFILE_TYPE = 254  # TIFF; its lowest bit says that the page is a smaller version of another
# How Pillow begins when a chunk of text or a colour profile unpacks to more than it allows.
_PACKED_TOO_TIGHT = ("Decompressed data too large", "Too much memory used in text chunks")


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image that decodes."""

    format: str
    width_px: int  # upright
    height_px: int


@dataclass(frozen=True)
class Refusal:
    """Why an image is set aside."""

    kind: str  # empty, unreadable, truncated, too_small, too_large, animated, unknown_mode
    detail: str  # at most 300 printable signs


def identity(content: bytes) -> str:
    """Return the ``image_id``: sha256 of the bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def examine(content: bytes) -> ImageFacts | Refusal:
    """Read all of an image and return what is known of it, or why it is refused. Never raises for bad bytes."""
    if not content:
        return Refusal("empty", "the file has no bytes")
    try:
        with Image.open(BytesIO(content), formats=formats()) as image:
            return _facts(image)
    except UnidentifiedImageError:
        return _refusal("unreadable", f"no image, or the head of one is broken: the file begins with {content[:16]!r}")
    except Image.DecompressionBombError as error:
        return _refusal("too_large", str(error))
    except MemoryError:
        return Refusal("too_large", "decoding it takes more memory than there is")
    # Decoders raise whatever their format's parser does (OSError, SyntaxError, struct.error, zlib.error, ...); a
    # hostile file must not end the run of the good ones.
    except Exception as error:
        message = str(error)
        if message.startswith(_PACKED_TOO_TIGHT):
            return _refusal("too_large", message)
        kind = "truncated" if "truncated" in message.lower() else "unreadable"
        return _refusal(kind, f"{type(error).__name__}: {message}")


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are tried, and let Pillow say nothing on stderr from now on."""
    # Once and for good: warnings.catch_warnings swaps the filters of all threads. Pillow warns of large images, for
    # which the limit here is ours, and of broken metadata, of which the photograph has no need.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    others = [name for name in Image.OPEN if name not in _PROGRAMS and name not in _COMMON]
    return (*_COMMON, *others)


def _facts(image: ImageFile) -> ImageFacts | Refusal:
    width, height = image.size
    if width * height > MAX_PIXELS:
        return Refusal("too_large", f"{width}x{height} px; the limit is {MAX_PIXELS:,} pixels")
    # verify() would pass truncated JPEGs: only decoding finds them. A JPEG at an eighth of its size, for half of the
    # time: all of its data is read and only the arithmetic of the pixels is spared. Of 6,000 that were cut or damaged
    # at random, both ways refused the same.
    if image.format in _SCALABLE:
        image.draft(image.mode, (1, 1))
        image.load()
    else:
        image.load()
        width, height = image.size  # an icon's header says another size than its picture
    if min(width, height) < MIN_SIDE_PX:
        return Refusal("too_small", f"{width}x{height} px; the shorter side must have at least {MIN_SIDE_PX}")
    if image.mode not in _MODES:
        return _refusal("unknown_mode", f"it has pixels of the mode {image.mode}, whose colours are not known")
    if image.mode == "I" and not _is_sixteen_bits(image):
        return Refusal("unknown_mode", "it has 32 bits a pixel; grey is understood up to 16 bits")
    if _is_turned(image):
        width, height = height, width
    # Last, as it leaves the image at another frame.
    count = _frame_count(image)
    if count > 1:
        counted = f"more than {_MOST_COUNTED:,}" if count > _MOST_COUNTED else str(count)
        return Refusal("animated", f"it holds {counted} frames; which of them is the photograph has to be chosen")
    return ImageFacts(image.format or "unknown", width, height)


def _is_sixteen_bits(image: ImageFile) -> bool:
    low, high = image.getextrema()
    return low >= 0 and high <= _SIXTEEN_BITS  # type: ignore[operator]  # one band: two numbers


def _is_turned(image: ImageFile) -> bool:
    # Parsing EXIF raises as freely as decoding does. Nobody can say which way up it was meant: it stays as it is.
    with suppress(Exception):
        return image.getexif().get(_ORIENTATION) in _TURNED
    return False


def _frame_count(image: ImageFile) -> int:
    """Return of how many pictures one has to be chosen. A TIFF's are counted up to one more than ``_MOST_COUNTED``."""
    if image.format in _FIRST_IS_WHOLE or not getattr(image, "is_animated", False):
        return 1
    if image.format != "TIFF":
        return int(image.n_frames)  # type: ignore[attr-defined]
    # One by one: in Pillow's own count each page takes longer than the one before, hours for a hostile file. A page
    # that cannot be read is none.
    count = 1
    with suppress(Exception):
        for position in range(1, _MOST_COUNTED + 1):
            image.seek(position)
            count += not image.tag_v2.get(_SUBFILE_TYPE, 0) & 1  # type: ignore[attr-defined]
    return count


def _refusal(kind: str, detail: str) -> Refusal:
    """Return a refusal whose detail is plain text, whatever a file made a decoder say."""
    escaped = plain(detail[:_MOST_SIGNS])
    return Refusal(kind, escaped if len(escaped) <= _MOST_SIGNS else escaped[: _MOST_SIGNS - 1] + "…")
