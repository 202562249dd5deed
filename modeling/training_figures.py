"""Pictures of what a head learnt: how honest it is, what it confuses, what it pulls apart, and what the tail costs.

Pure drawing from values to PNG files: what is drawn is decided by others.
"""

import math
import textwrap
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

from modeling.calibration import Reliability
from modeling.drawing import (
    ACCENT,
    BAD,
    CUT_OFFS,
    DASHED,
    DPI,
    FAINT,
    FAMILY,
    GROUND,
    INK,
    PALE,
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
from modeling.errors import ModelingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PAIRS = 12  # confusions of one figure
MOST_POINTS = 2000  # of a map: beyond, points hide each other and UMAP takes minutes
MOST_COLOURS = 10  # species of a map that are told apart
_NEIGHBOURS = 15  # of UMAP, as it has them by default
_FEW = 50  # rows or columns up to which all components are found
_FEWEST_FOR_UMAP = 4  # its start takes three eigenvectors of the graph of neighbours
_PALE_BAD, _PALE_ACCENT = "#e9c7c4", "#9fcab8"
# No grey, which is everything else; neighbours differ in shape too, for eyes that take two colours for one.
COLOURS = (
    *("#1f6fb2", "#e08a1e", "#2a9d6f", "#c8443a", "#7a4fa3"),
    *("#50b4d8", "#a8327d", "#8a6d1d", "#1d3f72", "#8fb32c"),
)
_SHAPES = "os^Dv" * 2

_SIDE_PX, _HEAD_PX, _GAP_PX = 24, 76, 12
_CARD_PX = (2 * PICTURE_PX[0] + _GAP_PX, PICTURE_PX[1] + 80)  # (width, height)
_NAME_SIGNS, _MOST_SIGNS = 28, 150
_WORST = 5  # species that are named


@dataclass(frozen=True)
class Confusion:
    """A species whose photographs were given the name of another."""

    species: str  # what it is
    answered: str  # what it was taken for
    count: int  # photographs
    photograph: bytes | None  # one of them; None: there is none
    example: bytes | None  # one of the species that was answered; None: there is none


def draw_reliability(
    before: Reliability, after: Reliability, ece_before: float, ece_after: float, title: str, path: Path
) -> Path:
    """Draw how often a head was right against how sure it was, before and after its temperature was fitted.

    Args:
        before: Of its probabilities at temperature 1.
        after: Of the same observations at the fitted temperature.
        ece_before: The expected calibration error before.
        ece_after: And after.
        title: Above the figure.
        path: The PNG file to write; replaced in one step.
    """
    figure, panels = panelled(
        [["head", "head"], ["before", "after"], ["counts before", "counts after"]], (10.4, 7.2), heights=[0.5, 4.5, 1.3]
    )
    write_head(panels["head"], title, "how often the answer was right, against how sure the head was of it")
    panels["counts before"].sharey(panels["counts after"])
    for diagram, counts, found, when, error in (
        (panels["before"], panels["counts before"], before, "before", ece_before),
        (panels["after"], panels["counts after"], after, "after", ece_after),
    ):
        draw_bins(diagram, found)
        words = "no answer to judge" if math.isnan(error) else f"ECE {error:.3f}"
        diagram.set_title(f"{when}: {words}", loc="left", fontsize=12, color=INK)
        total = int(found.count.sum())
        width = found.upper - found.lower
        counts.bar(found.lower, found.count / max(total, 1), width, align="edge", color=FAINT, edgecolor="white")
        counts.set_xlim(0, 1)
        counts.set_ylim(bottom=0)
        counts.set_xlabel(f"how sure the head was, of {total:,} answers", fontsize=10, color=INK)
    for name, label in (("before", "share of right answers"), ("counts before", "share of answers")):
        panels[name].set_ylabel(label, fontsize=10, color=INK)
    handles, labels = zip(*legend_of_bins(), strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, frameon=False, labelcolor=INK
    )
    return save(figure, path)


def draw_confusions(pairs: Sequence[Confusion], path: Path) -> Path:
    """Draw the most frequent confusions, each with a photograph of both species side by side.

    Args:
        pairs: In any order; the ``MOST_PAIRS`` most frequent are shown, ties by name.
        path: The PNG file to write; replaced in one step.
    """
    ranked = sorted(pairs, key=lambda pair: (-pair.count, pair.species, pair.answered))
    shown = ranked[:MOST_PAIRS]
    columns = 2 if len(shown) != 1 else 1
    width = 2 * _SIDE_PX + columns * _CARD_PX[0] + (columns - 1) * 3 * _GAP_PX
    height = _HEAD_PX + math.ceil(len(shown) / columns) * _CARD_PX[1] + _GAP_PX
    figure, canvas = sheet(width, height)
    say = writer(canvas)
    say(_SIDE_PX, 34, "what is taken for what", fontsize=15, weight="bold")
    say(_SIDE_PX, 56, _words_of_confusions(ranked, len(shown)), fontsize=10, color=FAINT)
    for position, pair in enumerate(shown):
        row, column = divmod(position, columns)
        left, top = _SIDE_PX + column * (_CARD_PX[0] + 3 * _GAP_PX), _HEAD_PX + row * _CARD_PX[1]
        _draw_pair(canvas, pair, left, top)
    return save(figure, path, colours=256)


def draw_embedding_map(
    points: NDArray[np.floating[Any]],
    names: Sequence[str],
    title: str,
    path: Path,
    before: NDArray[np.floating[Any]] | None = None,
) -> Path:
    """Draw a map of embeddings: the ``MOST_COLOURS`` most frequent species in colours, all others grey.

    Args:
        points: (N, 2) of the head's logits where ``before`` is given, else of anything; of more than ``MOST_POINTS``
            those of ``map_sample`` are drawn.
        names: (N) the species of each point.
        title: Above the figure.
        path: The PNG file to write; replaced in one step.
        before: (N, 2) of the embeddings of the same observations, drawn beside it.

    Raises:
        ModelingError: If there are not as many points as names.
    """
    maps = {"after": points} if before is None else {"before": before, "after": points}
    for drawn in maps.values():
        if drawn.shape != (len(names), 2):
            raise ModelingError(f"a point (x, y) for each of {len(names)} names is drawn, not points of {drawn.shape}")
    layout = [["head"] * (len(maps) + 1), [*maps, "words"]]
    size = (4 + 5.2 * len(maps), 6.2)
    figure, panels = panelled(layout, size, heights=[0.5, 5], widths=[5.2] * len(maps) + [3.4])
    kept = map_sample(len(names))
    counted = f"{len(kept):,} of {len(names):,} drawn" if len(kept) < len(names) else f"{len(names):,} drawn"
    write_head(panels["head"], title, f"photographs that lie close are alike to the model; {counted}")
    ranked = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
    rank_of = {name: rank for rank, (name, _) in enumerate(ranked)}
    ranks = np.array([rank_of[names[place]] for place in kept], np.int64)
    for name, drawn in maps.items():
        _draw_points(panels[name], drawn[kept], ranks)
    if before is not None:
        panels["before"].set_title("before: embeddings", loc="left", fontsize=11, color=INK)
        panels["after"].set_title("after: logits of the head", loc="left", fontsize=11, color=INK)
    _write_legend(panels["words"], ranked)
    return save(figure, path)


def map_sample(count: int, seed: int = 42) -> NDArray[np.int64]:
    """Return which of many observations a map shows, in ascending order: all, or ``MOST_POINTS`` of them at random.

    The same of the same count and seed: what is mapped before and after shows the same observations.
    """
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_POINTS, replace=False))


def embedding_map(features: NDArray[np.floating[Any]], seed: int = 42) -> tuple[NDArray[np.float64], str]:
    """Lay features out in a plane so that what is close stays close.

    By UMAP (McInnes et al. 2018) where umap-learn is installed, else, or of fewer than four rows, by the first two
    principal components. Both after standardising each dimension. UMAP takes 15 s to start, and minutes from some ten
    thousand rows: see ``map_sample``.

    Args:
        features: (N, D) embeddings or logits, finite.
        seed: Of UMAP; the same seed and features give the same map.

    Returns:
        (N, 2), and ``UMAP`` or ``PCA``.

    Raises:
        ModelingError: If features are not (N, D) or not finite.
    """
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ModelingError(f"finite features (N, D) are mapped; these of {features.shape} are not, or not all")
    umap = _umap()
    if umap is None or len(features) < _FEWEST_FOR_UMAP:
        return _principal(_standardised(features)), "PCA"
    neighbours = min(_NEIGHBOURS, len(features) - 1)
    # With a seed it runs in one thread; asked for more, it warns.
    layout = umap(n_neighbors=neighbours, n_components=2, metric="euclidean", random_state=seed, n_jobs=1)
    return np.asarray(layout.fit_transform(_standardised(features)), np.float64), "UMAP"


def draw_per_species(
    names: Sequence[str], f1: NDArray[np.floating[Any]], train_counts: NDArray[np.integer[Any]], path: Path
) -> Path:
    """Draw the F1 of each species over its photographs in training, so that one sees what the long tail costs.

    Args:
        names: (N) species.
        f1: (N) 0 to 1; species without one, NaN, are left out.
        train_counts: (N) photographs in training; 0 stands at the left end of the axis.
        path: The PNG file to write; replaced in one step.

    Raises:
        ModelingError: If there are not as many of each.
    """
    if not (len(names),) == f1.shape == train_counts.shape:
        raise ModelingError(
            f"an F1 and a count for each of {len(names)} species are drawn, not {f1.shape} and {train_counts.shape}"
        )
    figure, panels = panelled([["head", "head"], ["seen", "words"]], (13.0, 5.8), [0.5, 5], [8.6, 4.4])
    has_one = ~np.isnan(f1)
    scores, counts = f1[has_one].astype(np.float64), train_counts[has_one].astype(np.int64)
    judged = [name for name, is_judged in zip(names, has_one, strict=True) if is_judged]
    # A score of 0 of a species with many photographs says more than one with two.
    worst = sorted(range(len(judged)), key=lambda place: (scores[place], -counts[place], judged[place]))[:_WORST]
    words = f"macro F1 {scores.mean():.3f}  ·  {len(judged):,} species" if judged else "no species was judged"
    without = f", {len(names) - len(judged):,} without an F1" if len(judged) < len(names) else ""
    write_head(panels["head"], "what the long tail costs", words + without)
    _draw_scores(panels["seen"], scores, counts, worst)
    _write_scores(panels["words"], judged, scores, counts, worst)
    return save(figure, path)


def write_head(axes: "Axes", title: str, line: str) -> None:
    """Write the title of a figure and a line below it."""
    say = writer(axes)
    width = axes.figure.bbox.width - 100
    say(0, 1, fitted_words(title, width, 15, "bold"), fontsize=15, weight="bold", va="top")
    say(0, 0, line, fontsize=10, color=FAINT, va="bottom")


def draw_bins(axes: "Axes", found: Reliability) -> None:
    """Draw how often answers of each probability were right, beside how often they should be."""
    filled = found.count > 0
    lower, width = found.lower[filled], (found.upper - found.lower)[filled]
    accuracy, confidence = found.accuracy[filled], found.mean_confidence[filled]
    gap = confidence - accuracy
    axes.bar(lower, accuracy, width, align="edge", color=ACCENT, edgecolor="white")
    axes.bar(lower, gap.clip(min=0), width, accuracy, align="edge", color=_PALE_BAD, edgecolor="white")
    axes.bar(lower, gap.clip(max=0), width, accuracy, align="edge", color=_PALE_ACCENT, edgecolor="white")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=DASHED)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def legend_of_bins() -> list[tuple[Any, str]]:
    """Return what ``draw_bins`` draws with, and what that is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    line = Line2D([], [], color=INK, linewidth=1, linestyle=DASHED)
    return [
        (Patch(color=ACCENT), "right"),
        (Patch(color=_PALE_ACCENT), "more right than sure"),
        (Patch(color=_PALE_BAD), "less right than sure"),
        (line, "as sure as right"),
    ]


def _words_of_confusions(ranked: Sequence[Confusion], shown: int) -> str:
    if not ranked:
        return "no photograph was given a wrong name"
    photographs = sum(pair.count for pair in ranked)
    words = f"{_counted(photographs, 'photograph')} in {_counted(len(ranked), 'pair')} of species"
    return f"{words}; the {shown} most frequent" if shown < len(ranked) else words


def _draw_pair(canvas: "Axes", pair: Confusion, left: float, top: float) -> None:
    say = writer(canvas)
    canvas.plot([left, left + _CARD_PX[0]], [top, top], color=BAD, linewidth=2, solid_capstyle="butt")
    for start, content, role, name in (
        (left, pair.photograph, f"{pair.count:,} of this species", pair.species),
        (left + PICTURE_PX[0] + _GAP_PX, pair.example, "taken for this one", pair.answered),
    ):
        say(start, top + 17, role, fontsize=7.5, color=BAD)
        show(canvas, content, start, top + 24)
        lines = textwrap.wrap(name, _NAME_SIGNS, max_lines=2, placeholder=" …")
        for number, line in enumerate(lines):
            fitted = fitted_words(line, PICTURE_PX[0], 8, "bold")
            say(start, top + PICTURE_PX[1] + 38 + 14 * number, fitted, fontsize=8, weight="bold")


def _draw_points(axes: "Axes", points: NDArray[np.floating[Any]], ranks: NDArray[np.int64]) -> None:
    axes.set(xticks=[], yticks=[], facecolor=GROUND)
    axes.spines[:].set_visible(False)
    if not len(points):
        say_why_empty(axes, "nothing to map")
        return
    axes.margins(0.04)
    size = 26 if len(points) <= 500 else 13
    x, y = points[ranks >= MOST_COLOURS].T
    axes.scatter(x, y, s=size * 0.6, color=PALE, linewidths=0)
    # The most frequent first: of what lies on top of each other the rarer is seen.
    for rank in range(MOST_COLOURS):
        x, y = points[ranks == rank].T
        axes.scatter(x, y, s=size, marker=_SHAPES[rank], color=COLOURS[rank], alpha=0.8, linewidths=0)


def _write_legend(axes: "Axes", ranked: Sequence[tuple[str, int]]) -> None:
    """Write colours, names and counts by hand: matplotlib's legend leaves out names that begin with ``_``."""
    axes.set(xlim=(0, 1), ylim=(0, 1))
    say = writer(axes)
    rows = [(COLOURS[rank], _SHAPES[rank], name, count) for rank, (name, count) in enumerate(ranked[:MOST_COLOURS])]
    others = ranked[MOST_COLOURS:]
    if others:
        words = f"{len(others):,} other species" if len(others) > 1 else others[0][0]
        rows.append((PALE, "o", words, sum(count for _, count in others)))
    if rows:
        say(1, 0.97, "photographs", va="center", ha="right", fontsize=9, color=FAINT)
    for number, (colour, shape, name, count) in enumerate(rows, start=1):
        y = 0.97 - 0.06 * number
        axes.plot([0.03], [y], marker=shape, markersize=7, color=colour, linestyle="none", markeredgewidth=0)
        say(0.09, y, fitted_words(name, 250, 9.5), va="center", fontsize=9.5)
        say(1, y, f"{count:,}", va="center", ha="right", fontsize=9.5)


def _draw_scores(axes: "Axes", scores: NDArray[np.float64], counts: NDArray[np.int64], ringed: Iterable[int]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not len(scores):
        axes.set_axis_off()
        say_why_empty(axes, "nothing to judge")
        return
    # No logarithm has a zero: never seen in training is half a photograph.
    places = np.maximum(counts, 0.5)
    is_many = len(scores) > 500
    axes.set_xscale("log")
    axes.scatter(places, scores, s=12 if is_many else 34, color=ACCENT, alpha=0.3 if is_many else 0.6, linewidths=0)
    chosen = list(ringed)
    axes.scatter(places[chosen], scores[chosen], s=90, facecolors="none", edgecolors=BAD, linewidths=1.4, clip_on=False)
    right = max(places.max(), CUT_OFFS[-1]) * 1.5
    left = 0.4 if counts.min() < 1 else 0.8
    for start, end, is_in in _groups(counts):
        low, high = max(start - 0.5, left), right if end is None else end - 0.5
        if is_in.any():
            axes.plot([low, high], [scores[is_in].mean()] * 2, color=INK, linewidth=2, solid_capstyle="butt")
        if end is not None:
            axes.axvline(high, color=PALE, linewidth=0.9, linestyle=DASHED, zorder=0)
    axes.set_xlim(left, right)
    axes.set_ylim(-0.04, 1.04)
    powers = [10**power for power in range(math.ceil(math.log10(right)))]
    axes.xaxis.set_major_locator(FixedLocator([*([0.5] if counts.min() < 1 else []), *powers]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}" if count >= 1 else "0"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("photographs of the species in training", fontsize=10, color=INK)
    axes.set_ylabel("F1 of the species; lines: means of groups", fontsize=10, color=INK)


def _write_scores(
    axes: "Axes",
    names: Sequence[str],
    scores: NDArray[np.float64],
    counts: NDArray[np.int64],
    worst: Sequence[int],
) -> None:
    """Write how each part of the tail does, and which species do worst."""
    if not names:
        return
    axes.set(xlim=(0, 1), ylim=(0, 1))
    say = writer(axes)
    line = 1 / (len(CUT_OFFS) + _WORST + 5)
    top = 1 - line / 2

    def row(text: str, middle: str, end: str, **look: Any) -> None:
        nonlocal top
        say(0.0, top, text, va="center", fontsize=10, **look)
        for place, value in ((0.78, middle), (1.0, end)):
            say(place, top, value, va="center", ha="right", fontsize=10, **look)
        top -= line

    row("in training", "species", "mean F1", weight="bold")
    for start, end, is_in in _groups(counts):
        words = f"{start:,} and more" if end is None else f"{start:,} to {end - 1:,}"
        row(words, f"{is_in.sum():,}", f"{scores[is_in].mean():.3f}" if is_in.any() else "–")
    top -= line
    row("the lowest, ringed", "in training", "F1", weight="bold")
    for place in worst:
        row(fitted_words(names[place], 290, 10), f"{counts[place]:,}", f"{scores[place]:.3f}")


def _groups(counts: NDArray[np.int64]) -> Iterator[tuple[int, int | None, NDArray[np.bool_]]]:
    """Yield the parts of the tail: from so many photographs, up to below so many, and which species are in it."""
    for start, end in zip((0, *CUT_OFFS), (*CUT_OFFS, None), strict=True):
        yield start, end, (counts >= start) & (counts < (math.inf if end is None else end))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def fitted_words(text: str, width_px: float, size: float, weight: str = "normal") -> str:
    """Return what of a name fits into a width: all of it, or its beginning and its end."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FAMILY, size=size, weight=weight)

    def width(words: str) -> float:
        points: float = text_to_path.get_text_width_height_descent(words, font, ismath=False)[0]
        return points * DPI / 72

    shown = drawable(text)
    if len(shown) <= _MOST_SIGNS and width(shown) <= width_px:
        return shown
    cuts = [middle_cut(shown, most) for most in range(3, max(min(len(shown), _MOST_SIGNS), 4))]
    return cuts[max(bisect_right(cuts, width_px, key=width) - 1, 0)]


def _umap() -> Any:
    """Return UMAP's class, or None where umap-learn is not installed."""
    # A folder that is left of an uninstalled library can still be imported, and holds nothing.
    with suppress(ImportError):
        return getattr(import_module("umap"), "UMAP", None)
    return None


def _standardised(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    exact = features.astype(np.float64)
    if not len(exact):
        return exact
    mean, spread = exact.mean(axis=0), exact.std(axis=0)
    # What moves by no more than rounding says nothing.
    still = spread <= 1e-6 * np.maximum(np.abs(mean), 1.0)
    scaled: NDArray[np.float64] = (exact - mean) / np.where(still, np.inf, spread)
    return scaled


def _principal(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal components (N, 2) of centred features; zeros where there are fewer."""
    points = np.zeros((len(features), 2))
    if min(features.shape) > _FEW:
        # All components of the logits of thousands of species would take longer than training a head.
        start = np.ones(min(features.shape), np.float32)
        left, sizes, right = svds(features.astype(np.float32), k=2, v0=start, rng=0)
        left, sizes, right = left[:, ::-1], sizes[::-1], right[::-1]
    elif features.size:
        left, sizes, right = np.linalg.svd(features, full_matrices=False)
    else:
        return points
    # Of each direction and its opposite the one whose largest part is positive, whichever the library found.
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    found = (left * sizes * signs)[:, :2]
    points[:, : found.shape[1]] = found
    return points
