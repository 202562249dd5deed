"""Pictures of what came in: the long tail of species, where they were seen, and what was set aside.

Pure drawing from values to PNG files: no table, no network, no map of somebody else's.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeling.drawing import (
    ACCENT,
    BAD,
    CUT_OFFS,
    DASHED,
    FAINT,
    GROUND,
    INK,
    PICTURE_PX,
    drawable,
    middle_cut,
    panelled,
    save,
    say_why_empty,
    sheet,
    show,
    writer,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 24
_FEW_SPECIES = 60  # bars up to here, a filled outline beyond
_FEW_POINTS = 2000  # dots up to here, a density beyond
_GROUP_COLOURS = (BAD, "#d08c2f", "#4c78a8", "#6b8e4e", "#8a63a6", "#5f9ea0", "#a0785a", FAINT)

_COLUMNS = 6
_CELL_PX = (242, 262)  # (width, height)
_SIDE_PX, _HEAD_PX, _FOOT_PX = 24, 74, 34
_NAME_SIGNS, _DETAIL_SIGNS, _DETAIL_LINES = 32, 40, 4


@dataclass(frozen=True)
class SetAside:
    """An image that was set aside, and why."""

    image_name: str
    kind: str
    detail: str
    thumbnail: bytes | None  # the file, whole or broken; None: there is none


@dataclass(frozen=True)
class _Extent:
    """What of the globe is shown, in degrees; ``east`` may lie beyond 180, where the Pacific is in the middle."""

    west: float
    east: float
    south: float
    north: float

    @property
    def stretch(self) -> float:
        """How much longer a degree of latitude is than one of longitude, in the middle."""
        return 1 / math.cos(math.radians(min(abs(self.south + self.north) / 2, 80)))

    @property
    def aspect(self) -> float:
        """Width over height on the ground."""
        return (self.east - self.west) / (self.north - self.south) / self.stretch


def draw_dataset(
    path: Path,
    dataset: str,
    species_counts: Sequence[tuple[str, int]],
    coordinates: NDArray[np.floating[Any]],
    totals: Mapping[str, int],
) -> Path:
    """Draw how the photographs of a data set spread over species and, if it says so, over the globe.

    Args:
        path: The PNG file to write; replaced in one step.
        dataset: Its name.
        species_counts: (name, number of photographs) of each species, in any order.
        coordinates: (N, 2) latitude and longitude in degrees; rows that are no place on the globe are left out.
        totals: What is counted, and how many there are, as the title shows them: photographs, species, ...
    """
    ranked = sorted(species_counts, key=lambda one: (-one[1], one[0]))
    places = _places(coordinates)
    extent = _extent(places) if len(places) else None
    figure, head, tail, words, ground = _panels(extent)
    _write_head(head, dataset, totals)
    _draw_tail(tail, [count for _, count in ranked])
    _write_words(words, ranked)
    if ground is not None and extent is not None:
        _draw_map(ground, places, extent)
    return save(figure, path)


def contact_sheet(path: Path, dataset: str, entries: Sequence[SetAside], totals: Mapping[str, int]) -> Path:
    """Draw some of the images that were set aside, by kind, as far as they can be decoded.

    Args:
        path: The PNG file to write; replaced in one step.
        dataset: Its name.
        entries: Candidates, of which ``MOST_CELLS`` are shown, of each kind as many as fit fairly.
        totals: How many were set aside, by kind.
    """
    chosen = _fair_share(entries, totals)
    rows = max(1, math.ceil(len(chosen) / _COLUMNS))
    width = 2 * _SIDE_PX + _COLUMNS * _CELL_PX[0]
    height = _HEAD_PX + rows * _CELL_PX[1] + _FOOT_PX
    figure, canvas = sheet(width, height)
    say = writer(canvas)
    say(_SIDE_PX, 34, dataset, fontsize=15, weight="bold")
    count = sum(totals.values())
    say(_SIDE_PX, 56, f"{count:,} images set aside" if count else "nothing was set aside", fontsize=10, color=FAINT)
    kinds = list(dict.fromkeys(entry.kind for entry in chosen))
    for position, entry in enumerate(chosen):
        row, column = divmod(position, _COLUMNS)
        left, top = _SIDE_PX + column * _CELL_PX[0], _HEAD_PX + row * _CELL_PX[1]
        colour = _GROUP_COLOURS[kinds.index(entry.kind) % len(_GROUP_COLOURS)]
        if position == 0 or chosen[position - 1].kind != entry.kind:
            say(left, top + 14, f"{entry.kind}  {totals.get(entry.kind, 0):,}", fontsize=9, weight="bold", color=colour)
        _draw_cell(canvas, entry, left, top + 20, colour)
    unseen = [f"{kind} {total:,}" for kind, total in totals.items() if total and kind not in kinds]
    if unseen:
        listed = textwrap.shorten("not shown: " + " · ".join(unseen), 200, placeholder=" …")
        say(_SIDE_PX, height - 12, listed, fontsize=8, color=FAINT)
    return save(figure, path, colours=128)


def _panels(extent: _Extent | None) -> "tuple[Figure, Axes, Axes, Axes, Axes | None]":
    """Return a figure and its panels: head, long tail, words, map. A wide map lies below, a narrow one beside."""
    if extent is None:
        layout, size = [["head", "head"], ["tail", "words"]], (14.0, 5.4)
        heights, widths = [0.6, 4.8], [9.5, 4.5]
    elif extent.aspect >= 1.3:
        below = min(max(13.0 / extent.aspect, 4.0), 7.0)
        layout, size = [["head", "head"], ["tail", "words"], ["map", "map"]], (14.0, 5.2 + below)
        heights, widths = [0.6, 4.4, below], [9.5, 4.5]
    else:
        layout, size = [["head", "head"], ["tail", "map"], ["words", "map"]], (14.0, 7.6)
        heights, widths = [0.6, 4.2, 2.8], [7.4, 6.6]
    figure, panels = panelled(layout, size, heights, widths, pads=(0.14, 0.12))
    return figure, panels["head"], panels["tail"], panels["words"], panels.get("map")


def _write_head(axes: "Axes", dataset: str, totals: Mapping[str, int]) -> None:
    say = writer(axes)
    say(0, 1, middle_cut(dataset, 90), fontsize=16, weight="bold", va="top")
    counted = "  ·  ".join(f"{count:,} {name}" for name, count in totals.items())
    say(0, 0, counted, fontsize=11, color=FAINT, va="bottom")


def _draw_tail(axes: "Axes", counts: Sequence[int]) -> None:
    """Draw the counts, sorted from the largest."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    if not counts or counts[0] < 1:
        axes.set_axis_off()
        say_why_empty(axes, "no photograph is labelled")
        return
    axes.set_yscale("log")
    if len(counts) <= _FEW_SPECIES:
        axes.bar(np.arange(len(counts)) + 1, counts, width=0.82, color=ACCENT)
    else:
        # One step for all species of the same count: thousands of corners take longer to draw than all the rest.
        starts = np.flatnonzero(np.diff(counts, prepend=counts[0] + 1))
        axes.stairs(
            np.take(counts, starts), [*(starts + 0.5), len(counts) + 0.5], baseline=0.1, fill=True, color=ACCENT
        )
    axes.set_xlim(0.5, len(counts) + 0.5)
    axes.set_ylim(0.7, max(counts[0], CUT_OFFS[-1]) * 1.6)
    beyond = axes.get_yaxis_transform()
    for cut_off in CUT_OFFS:
        axes.axhline(cut_off, color=INK, linewidth=0.9, linestyle=DASHED)
        axes.text(1.006, cut_off, f"{cut_off}", transform=beyond, va="center", fontsize=9, color=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rank, _: f"{rank:,.0f}"))
    axes.set_xlabel("species, from the most to the least photographed", fontsize=10, color=INK)
    axes.set_ylabel("photographs of the species", fontsize=10, color=INK)


def _write_words(axes: "Axes", ranked: Sequence[tuple[str, int]]) -> None:
    """Write which species are the largest, and how many have enough photographs."""
    if not ranked:
        return
    say = writer(axes)
    counts = np.array([count for _, count in ranked])
    names, numbers = ranked[:5], (0.62, 1.0)  # where the columns of numbers end
    line = 1 / (len(names) + len(CUT_OFFS) + 4)
    top = 1 - line / 2

    def row(text: str, *values: str, **look: Any) -> None:
        nonlocal top
        say(0.0, top, text, va="center", fontsize=10, **look)
        for end, value in zip(numbers[-len(values) :], values, strict=True):
            say(end, top, value, va="center", ha="right", fontsize=10, **look)
        top -= line

    row("the largest", "photographs", weight="bold")
    for name, count in names:
        row(middle_cut(name, 34), f"{count:,}")
    top -= line
    row("with at least", "species", "photographs", weight="bold")
    for cut_off in CUT_OFFS:
        enough = counts[counts >= cut_off]
        row(f"{cut_off} photographs", f"{len(enough):,}", f"{enough.sum():,}")
    row("any", f"{np.count_nonzero(counts):,}", f"{counts.sum():,}", color=FAINT)


def _draw_map(axes: "Axes", places: NDArray[np.float64], extent: _Extent) -> None:
    """Draw places, (N, 2) longitude and latitude, as dots or as a density."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    longitude, latitude = places.T
    bounds = (extent.west, extent.east, extent.south, extent.north)
    if len(places) <= _FEW_POINTS:
        axes.plot(longitude, latitude, "o", markersize=4.5, color=ACCENT, alpha=0.55, markeredgewidth=0)
    else:
        across = 90 if extent.aspect >= 1.3 else 55
        down = max(4, round(across / extent.aspect / math.sqrt(3)))
        cells = axes.hexbin(
            longitude, latitude, gridsize=(across, down), extent=bounds, mincnt=1, cmap="viridis_r", linewidths=0.1
        )
        cells.set_norm(LogNorm(1, max(float(np.max(cells.get_array())), 10)))  # type: ignore[arg-type]
        bar = axes.figure.colorbar(cells, ax=axes, shrink=0.6, pad=0.01, aspect=28)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        bar.ax.tick_params(labelsize=8, colors=INK)
        bar.set_label("photographs in a cell", fontsize=9, color=INK)
        bar.outline.set_visible(False)
    axes.set_xlim(extent.west, extent.east)
    axes.set_ylim(extent.south, extent.north)
    axes.set_aspect(extent.stretch, anchor="N")
    axes.set_facecolor(GROUND)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(color="white", linewidth=1.1)
    for axis, letters, lines in ((axes.xaxis, "EW", 7 if extent.aspect > 0.7 else 4), (axes.yaxis, "NS", 7)):
        # Of continents 15, 30 or 60 degrees, as atlases have them.
        is_large = extent.east - extent.west > 60
        axis.set_major_locator(MaxNLocator(lines, steps=[1, 1.5, 3, 6, 10] if is_large else [1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda degrees, _, letters=letters: _degrees(degrees, letters)))
    axes.tick_params(length=0)
    axes.set_title(f"{len(places):,} with coordinates", loc="left", fontsize=10, color=FAINT)


def _degrees(value: float, letters: str) -> str:
    turned = float((value + 180) % 360 - 180 if letters == "EW" else value)
    size = f"{abs(turned):.6f}".rstrip("0").rstrip(".")
    if size in {"0", "180"}:
        return f"{size}°"
    return f"{size}°{letters[turned < 0]}"


def _places(coordinates: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return (N, 2) longitude and latitude of what lies on the globe.

    Where the data lie on both sides of 180 degrees, western longitudes follow the eastern ones, up to 360.
    """
    latitude, longitude = np.asarray(coordinates, np.float64).reshape(-1, 2).T
    on_globe = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
    latitude, longitude = latitude[on_globe], longitude[on_globe]
    pacific = longitude % 360
    if len(longitude) and np.ptp(pacific) < np.ptp(longitude) / 2:
        longitude = pacific
    return np.stack([longitude, latitude], axis=1)


def _extent(places: NDArray[np.float64]) -> _Extent:
    """Return the extent of places with a margin, not much longer than wide, and never beyond the globe."""
    (west, south), (east, north) = places.min(axis=0), places.max(axis=0)
    shortening = math.cos(math.radians(min(abs(south + north) / 2, 80)))
    # Along a line of latitude or longitude, and around a single place, there is some ground too.
    least = max((east - west) * shortening, north - south, 0.05) / 1.8
    width = max((east - west) * 1.1, least / shortening)
    height = max((north - south) * 1.1, least)
    west_end, east_end = (0.0, 360.0) if west >= 0 and east >= 180 else (-180.0, 180.0)
    return _Extent(
        *_span((west + east) / 2, width, west_end, east_end), *_span((south + north) / 2, height, -90.0, 90.0)
    )


def _span(middle: float, length: float, low: float, high: float) -> tuple[float, float]:
    return max(float(middle - length / 2), low), min(float(middle + length / 2), high)


def _fair_share(entries: Iterable[SetAside], totals: Mapping[str, int]) -> list[SetAside]:
    """Return at most ``MOST_CELLS`` entries, kinds with the largest total first, none crowding out the others."""
    by_kind: dict[str, list[SetAside]] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, []).append(entry)
    kinds = sorted(by_kind, key=lambda kind: (-totals.get(kind, 0), kind))[:MOST_CELLS]
    turns = [(turn, kind) for kind in kinds for turn in range(len(by_kind[kind]))]
    taken = sorted(turns, key=lambda one: (one[0], kinds.index(one[1])))[:MOST_CELLS]
    return [entry for kind in kinds for entry in by_kind[kind][: sum(one == kind for _, one in taken)]]


def _draw_cell(canvas: "Axes", entry: SetAside, left: float, top: float, colour: str) -> None:
    canvas.plot([left, left + _CELL_PX[0] - 10], [top - 1, top - 1], color=colour, linewidth=2, solid_capstyle="butt")
    show(canvas, entry.thumbnail, left, top)
    below = top + PICTURE_PX[1]
    say = writer(canvas)
    say(left, below + 14, middle_cut(entry.image_name, _NAME_SIGNS), fontsize=7, weight="bold")
    lines = textwrap.wrap(drawable(entry.detail), _DETAIL_SIGNS, max_lines=_DETAIL_LINES, placeholder=" …")
    for number, line in enumerate(lines):
        say(left, below + 27 + 11.5 * number, line, fontsize=6.3, color=FAINT)
