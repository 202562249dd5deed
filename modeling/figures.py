"""What people would rather look at than read. Draws to files; opens no window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import colormaps
from matplotlib.patches import Patch, Rectangle

from modeling.drawing import new_figure, save
from modeling.preprocess import decode


@dataclass(frozen=True)
class NamedTile:
    """A tile with the name that its best species got."""

    x0: int
    y0: int
    x1: int
    y1: int
    name: str
    probability: float


def draw_quadrat(
    content: bytes,
    tiles: Sequence[NamedTile],
    found: Sequence[str],
    truth: Sequence[str],
    title: str,
    path: Path,
) -> Path:
    """Draw a quadrat with its tiles in the colours of their species, what was found, and what is there.

    Args:
        content: The encoded photograph.
        tiles: Its tiles; those of species that were not kept are drawn grey.
        found: Names of the species that were kept.
        truth: Names of the species that stand there; empty where nobody knows.
        title: Above the picture.
        path: The PNG file to write; replaced in one step.
    """
    image = decode(content)
    palette = colormaps["tab10" if len(found) <= 10 else "tab20"]
    colours = {name: palette(position % palette.N) for position, name in enumerate(found)}
    figure = new_figure(10, 6.2)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=12)
    inset = max(image.size) * 0.006
    for tile in tiles:
        colour = colours.get(tile.name, (0.75, 0.75, 0.75, 1.0))
        width, height = tile.x1 - tile.x0 - 2 * inset, tile.y1 - tile.y0 - 2 * inset
        corner = (tile.x0 + inset, tile.y0 + inset)
        axes.add_patch(Rectangle(corner, width, height, facecolor=(*colour[:3], 0.13), edgecolor=colour, linewidth=2.2))
        axes.text(
            tile.x0 + 2.2 * inset,
            tile.y0 + 2.2 * inset,
            f"{tile.probability:.2f}",
            va="top",
            fontsize=8,
            color="white",
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
        )
    marks = {name: _mark(name, truth) for name in found}
    legend = [Patch(color=colours[name], label=f"{name}{marks[name]}") for name in found]
    legend += [
        Patch(facecolor="none", edgecolor="none", label=f"{name}  (missed)") for name in truth if name not in found
    ]
    if any(tile.name not in colours for tile in tiles):
        legend.append(Patch(color=(0.75, 0.75, 0.75), label="not kept by the rule"))
    axes.legend(handles=legend, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=10, title="found")
    return save(figure, path)


def _mark(name: str, truth: Sequence[str]) -> str:
    if not truth:
        return ""
    return "  (right)" if name in truth else "  (wrong)"
