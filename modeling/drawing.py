"""What all figures are drawn with: colours, panels, words from outside, photographs, and files that are never half.

Text is never read as mathematics, so that a name may hold ``$`` or ``_``. Opens no window.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Photographs of a species. With fewer than the first, hardly one each is left for val and test; the others are where
# data sets are commonly cut.
CUT_OFFS = (5, 20, 100)
DPI = 110
FAMILY = "DejaVu Sans"  # comes with matplotlib, so that a figure looks alike everywhere
INK, FAINT, PALE, GROUND = "#22313f", "#7b8794", "#c3cad1", "#f2f4f6"  # words, lesser words, lines, areas
ACCENT, BAD = "#2a7f62", "#b4443c"
DASHED = (0, (4, 3))  # a line style
PICTURE_PX = (226, 160)  # (width, height) of a photograph that is shown
MOST_PIXELS = 50_000_000  # of a photograph that is decoded to be shown: 200 MB at four bytes a pixel
# What a photograph usually is; the parsers of rarer formats are kept away from hostile bytes.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000")


def new_figure(width: float, height: float) -> "Figure":
    """Return a figure of a size in inches that opens no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def sheet(width_px: float, height_px: float) -> "tuple[Figure, Axes]":
    """Return a figure without axes and its canvas, on which places are pixels from the top left."""
    figure = new_figure(width_px / DPI, height_px / DPI)
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, width_px), ylim=(height_px, 0))
    canvas.set_axis_off()
    return figure, canvas


def panelled(
    layout: Sequence[Sequence[str]],
    size: tuple[float, float],
    heights: Sequence[float],
    widths: Sequence[float] | None = None,
    pads: tuple[float, float] = (0.12, 0.08),
) -> "tuple[Figure, Mapping[str, Axes]]":
    """Return a figure and its panels by name; ``head`` and ``words`` hold text and have no axes.

    Args:
        layout: The name of the panel in each cell, row by row.
        size: (width, height) in inches.
        heights: Of the rows, relative to each other.
        widths: Of the columns, relative to each other; all alike by default.
        pads: (width, height) around panels, in inches.
    """
    figure = new_figure(*size)
    figure.set_layout_engine("constrained", w_pad=pads[0], h_pad=pads[1])
    rows = [list(row) for row in layout]
    panels: dict[str, Axes] = figure.subplot_mosaic(rows, height_ratios=heights, width_ratios=widths)  # type: ignore[arg-type]
    for name, axes in panels.items():
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, colors=INK)
        if name in {"head", "words"}:
            axes.set_axis_off()
    return figure, panels


def writer(axes: "Axes") -> Callable[..., None]:
    """Return ``axes.text`` for words from outside: it takes x, y, the text and what else ``axes.text`` takes."""

    def say(x: float, y: float, text: str, **look: Any) -> None:
        axes.text(x, y, drawable(text), **{"color": INK, "family": FAMILY, "parse_math": False, **look})

    return say


def say_why_empty(axes: "Axes", words: str) -> None:
    """Write in the middle of a panel why nothing is drawn there."""
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=13, color=FAINT)


def drawable(text: str) -> str:
    """Return text with a box for each sign that the font does not hold, of which matplotlib would warn."""
    return "".join(sign if sign.isprintable() and ord(sign) in _glyphs() else "□" for sign in text)


def middle_cut(text: str, most: int) -> str:
    """Return a name of at most so many signs: both its beginning and its end tell it from others."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def show(canvas: "Axes", content: bytes | None, left: float, top: float) -> None:
    """Show a photograph, ``PICTURE_PX`` large, or a crossed box where nothing of it can be decoded.

    Args:
        canvas: Of ``sheet``.
        content: The file, whole or broken; None: there is none.
        left: Where it begins, in pixels.
        top: And at what height.
    """
    from matplotlib.patches import Rectangle

    width, height = PICTURE_PX
    picture = None if content is None else what_is_there(content)
    canvas.add_patch(Rectangle((left, top), width, height, facecolor=GROUND, edgecolor="none"))
    if picture is not None:
        x0, y0 = left + (width - picture.width) / 2, top + (height - picture.height) / 2
        shown = (x0, x0 + picture.width, y0 + picture.height, y0)
        canvas.imshow(np.asarray(picture), extent=shown, interpolation="nearest", aspect="auto", zorder=2)
        return
    canvas.add_patch(Rectangle((left + 8, top + 8), width - 16, height - 16, facecolor="none", edgecolor=PALE))
    for start, end in ((8, height - 8), (height - 8, 8)):
        canvas.plot([left + 8, left + width - 8], [top + start, top + end], color=PALE, linewidth=1)


def what_is_there(content: bytes) -> Image.Image | None:
    """Return what can be decoded of a file, upright, RGB, no larger than ``PICTURE_PX``; None if that is nothing."""
    with suppress(Exception), Image.open(BytesIO(content), formats=_formats()) as image:
        if image.width * image.height > MOST_PIXELS:
            return None
        image.draft("RGB", (2 * PICTURE_PX[0], 2 * PICTURE_PX[1]))
        try:
            image.load()
        except Exception:  # whatever a decoder raises; the rows before it are in the image
            image.tile = []
            if image.getbbox(alpha_only=False) is None:
                return None
        small: Image.Image = image
        small.thumbnail(PICTURE_PX)
        with suppress(Exception):  # as EXIF may be broken too
            small = ImageOps.exif_transpose(small)
            small.thumbnail(PICTURE_PX)
        return _seen(small)
    return None


def save(figure: "Figure", path: Path, colours: int | None = None) -> Path:
    """Write a PNG so that no reader ever sees a half of it, and return its path.

    Args:
        figure: The figure.
        path: The file to write; folders are made.
        colours: Reduce it to so many, which a figure of photographs needs to be small.
    """
    file = BytesIO()
    figure.savefig(file, format="png")
    if colours is not None:
        drawn = Image.open(file).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        file = BytesIO()
        drawn.save(file, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        unfinished.write_bytes(file.getvalue())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _seen(image: Image.Image) -> Image.Image:
    """Return an image as RGB; numbers that are no colours are spread from black to white."""
    if image.mode[0] not in "IF":
        return image.convert("RGB")
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
    low, high = values.min(), values.max()
    return Image.fromarray(((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8)).convert("RGB")


@cache
def _formats() -> tuple[str, ...]:
    # Once and for good, as warnings.catch_warnings would swap the filters of all threads: Pillow warns of large images
    # and of broken metadata, which is what is drawn here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return _FORMATS


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=FAMILY))).get_charmap())
