"""Pictures of how a model did: its best and worst species, what it confuses, where it fails, what it saw in a quadrat.

Pure drawing from values to PNG files: what is drawn is decided by others.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from modeling.calibration import Reliability
from modeling.drawing import ACCENT, BAD, DASHED, FAINT, GROUND, INK, PALE, panelled, save, say_why_empty, sheet, writer
from modeling.errors import ModelingError
from modeling.preprocess import decode
from modeling.report import SliceScore
from modeling.training_figures import COLOURS, draw_bins, fitted_words, legend_of_bins, write_head

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 15  # species at each end
MOST_CONFUSED = 16  # species of a matrix: beyond, its counts cannot be read
MOST_PARTS = 12  # of a kind of slices
MOST_NAMES = 26  # beside a quadrat
_SIDE_PX, _HEAD_PX, _ROW_PX, _GAP_PX = 24, 76, 24, 30
_BAR_PX, _NAME_PX = 200, 210
_DOTS_PX, _PART_PX = 520, 230
_CELL_PX, _LABEL_PX, _TOP_PX = 42, 260, 190
_PICTURE_PX, _LEGEND_PX = 600, 380
_FEWEST_PX = 44  # width of a tile that holds words
_FULLEST = 0.42  # opacity of a tile of probability 1: the plants beneath have to be seen
_NOT_KEPT = "#8a949d"


@dataclass(frozen=True)
class NamedTile:
    """A tile with the name that its best species got."""

    x0: int
    y0: int
    x1: int
    y1: int
    name: str
    probability: float


def draw_best_and_worst(
    names: Sequence[str], f1: NDArray[np.floating[Any]], supports: NDArray[np.integer[Any]], path: Path
) -> Path:
    """Draw the F1 of the species that were found worst and best, ``MOST_BARS`` each, with how often they are there.

    Args:
        names: (N) species.
        f1: (N) 0 to 1; species without one, NaN, are left out.
        supports: (N) observations of each; of equal F1 the one with more says more, and stands further outside.
        path: The PNG file to write; replaced in one step.

    Raises:
        ModelingError: If there are not as many of each.
    """
    if not (len(names),) == f1.shape == supports.shape:
        raise ModelingError(
            f"an F1 and a support for each of {len(names)} species are drawn, not {f1.shape} and {supports.shape}"
        )
    judged = [place for place in range(len(names)) if not math.isnan(f1[place])]
    worst = sorted(judged, key=lambda place: (f1[place], -supports[place], names[place]))[:MOST_BARS]
    worst = worst[: (len(judged) + 1) // 2]  # as no species stands on both sides
    best = sorted(set(judged) - set(worst), key=lambda place: (-f1[place], -supports[place], names[place]))[:MOST_BARS]
    block = _NAME_PX + _BAR_PX + 120
    height = _HEAD_PX + (max(len(worst), 1) + 1) * _ROW_PX + _GAP_PX
    figure, canvas = sheet(2 * _SIDE_PX + 2 * block + _GAP_PX, height)
    mean = f"  ·  macro F1 {np.mean(f1[judged]):.3f}" if judged else ""
    _write_title(canvas, "found worst, and found best", f"F1 of {len(judged):,} species{mean}")
    for left, places, words, colour in (
        (_SIDE_PX, worst, "the lowest", BAD),
        (_SIDE_PX + block + _GAP_PX, best, "the highest", ACCENT),
    ):
        _draw_bars(canvas, left, words, [(names[place], f1[place], supports[place]) for place in places], colour)
    return save(figure, path)


def draw_confusion_matrix(counts: Mapping[tuple[str, str], int], path: Path) -> Path:
    """Draw what the ``MOST_CONFUSED`` species that are confused most were taken for.

    Args:
        counts: Observations by (species, species that was answered), the right answers among them.
        path: The PNG file to write; replaced in one step.
    """
    shown = _most_confused(counts)
    width = 2 * _SIDE_PX + _LABEL_PX + (len(shown) + 1) * _CELL_PX + 60
    figure, canvas = sheet(max(width, 700), _HEAD_PX + _TOP_PX + (max(len(shown), 1) + 1) * _CELL_PX)
    wrong = sum(count for (species, answered), count in counts.items() if species != answered)
    words = f"{wrong:,} of {sum(counts.values()):,} answers are wrong"
    others = "; the species of most of them" if len(shown) == MOST_CONFUSED else ""
    _write_title(canvas, "what is taken for what", words + others if wrong else "no species was given a wrong name")
    left, top = _SIDE_PX + _LABEL_PX, _HEAD_PX + _TOP_PX
    say = writer(canvas)
    if shown:
        say(left - 12, top - 10, "what it is ↓   what was answered →", fontsize=8.5, color=FAINT, ha="right")
    for column, name in enumerate([*shown, "another"]) if shown else []:
        look = {"fontsize": 9, "color": INK if column < len(shown) else FAINT, "rotation": 90}
        say(left + (column + 0.5) * _CELL_PX, top - 8, fitted_words(name, _TOP_PX - 14, 9), ha="center", **look)
    for row, species in enumerate(shown):
        answers = {answered: count for (is_it, answered), count in counts.items() if is_it == species}
        total = sum(answers.values())
        y = top + (row + 0.5) * _CELL_PX
        say(left - 12, y, fitted_words(species, _LABEL_PX - 20, 9), fontsize=9, va="center", ha="right")
        another = total - sum(answers.get(name, 0) for name in shown)
        for column, count in enumerate([*(answers.get(name, 0) for name in shown), another]):
            colour = ACCENT if column == row else BAD
            _draw_cell(canvas, left + column * _CELL_PX, top + row * _CELL_PX, count, total, colour)
        say(left + (len(shown) + 1) * _CELL_PX + 10, y, f"of {total:,}", fontsize=9, va="center", color=FAINT)
    return save(figure, path)


def draw_answer_reliability(found: Reliability, ece: float, title: str, path: Path) -> Path:
    """Draw how often answers were right against how probable they were said to be.

    Args:
        found: Of the answers.
        ece: Their expected calibration error; NaN where there is none.
        title: Above the figure.
        path: The PNG file to write; replaced in one step.
    """
    figure, panels = panelled([["head"], ["bins"], ["counts"]], (8.2, 7.0), heights=[0.5, 4.5, 1.2])
    total = int(found.count.sum())
    words = f"{total:,} answers  ·  ECE {ece:.3f}" if total else "no answer to judge"
    write_head(panels["head"], title, f"how often an answer was right, against its probability  ·  {words}")
    draw_bins(panels["bins"], found)
    panels["bins"].set_ylabel("share of right answers", fontsize=10, color=INK)
    if not total:
        say_why_empty(panels["bins"], "no answer to judge")
    shares, width = found.count / max(total, 1), found.upper - found.lower
    panels["counts"].bar(found.lower, shares, width, align="edge", color=FAINT, edgecolor="white")
    panels["counts"].set_xlim(0, 1)
    panels["counts"].set_ylim(bottom=0)
    panels["counts"].set_ylabel("share of answers", fontsize=10, color=INK)
    panels["counts"].set_xlabel("probability of the answer", fontsize=10, color=INK)
    handles, labels = zip(*legend_of_bins(), strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, frameon=False, labelcolor=INK
    )
    return save(figure, path)


def draw_slices(scores: Sequence[SliceScore], whole: float | None, path: Path) -> Path:
    """Draw the scores of parts of the observations as dots with their intervals.

    Args:
        scores: Of one metric, a share; of each kind the ``MOST_PARTS`` with most observations are drawn, in the order
            in which they come.
        whole: The score of all observations; None: not drawn.
        path: The PNG file to write; replaced in one step.

    Raises:
        ModelingError: If they are of several metrics.
    """
    metrics = sorted({score.metric for score in scores})
    if len(metrics) > 1:
        raise ModelingError(f"slices of one metric are drawn together, not of {', '.join(metrics)}; draw each alone")
    kinds = dict(_largest_parts(scores))
    rows = sum(len(parts) for parts in kinds.values())
    left = _SIDE_PX + _PART_PX
    height = _HEAD_PX + max(rows, 1) * _ROW_PX + max(len(kinds), 1) * (_ROW_PX + 14) + 2 * _GAP_PX
    figure, canvas = sheet(left + _DOTS_PX + 250, height)
    drawn = f"{rows:,} of {len(scores):,} slices" if rows < len(scores) else f"{rows:,} slices"
    words = f"{drawn}; 95 of 100 resamples lie on the whisker" + ("" if whole is None else f"  ·  all: {whole:.3f}")
    _write_title(canvas, f"{metrics[0] if metrics else 'scores'} by slice", words)
    say, top = writer(canvas), float(_HEAD_PX)
    for x, name in ((left + _DOTS_PX + 75, "value"), (left + _DOTS_PX + 226, "observations")):
        say(x, top + 8, name, fontsize=8.5, color=FAINT, ha="right", va="center")
    for kind, parts in kinds.items():
        top += 14
        say(
            _SIDE_PX,
            top + _ROW_PX / 2,
            fitted_words(kind, _PART_PX - 20, 10, "bold"),
            fontsize=10,
            weight="bold",
            va="center",
        )
        top += _ROW_PX
        _draw_way(canvas, left, top, len(parts) * _ROW_PX, whole)
        for part in parts:
            _draw_dot(canvas, left, top + _ROW_PX / 2, part)
            top += _ROW_PX
    for share in (0, 0.25, 0.5, 0.75, 1):
        say(left + share * _DOTS_PX, top + 14, f"{share:g}", fontsize=8.5, color=FAINT, ha="center", va="center")
    return save(figure, path)


def draw_quadrat(
    content: bytes,
    tiles: Sequence[NamedTile],
    found: Sequence[str],
    truth: Sequence[str],
    title: str,
    path: Path,
) -> Path:
    """Draw a quadrat with its tiles in the colours of their species, the surer the fuller, beside what is there.

    A tile bears the number of its species and its probability. Edges of species that are not there are dashed.

    Args:
        content: The encoded photograph.
        tiles: Its tiles; those of species that were not kept are drawn grey.
        found: Names of the species that were kept.
        truth: Names of the species that stand there; empty where nobody knows.
        title: Above the picture.
        path: The PNG file to write; replaced in one step.
    """
    image = decode(content)
    width, height = image.size
    image.thumbnail((2 * _PICTURE_PX, 2 * _PICTURE_PX))
    scale = _PICTURE_PX / max(width, height)
    names = list(_said_of(found, truth))
    lines = min(len(names), MOST_NAMES) + 4
    across, down = width * scale, height * scale
    figure, canvas = sheet(
        2 * _SIDE_PX + across + _GAP_PX + _LEGEND_PX, _HEAD_PX + max(down, lines * _ROW_PX) + _SIDE_PX
    )
    right = sum(what == "right" for _, what in names)
    known = f"  ·  {right} right, {len(truth) - right} missed, {len(found) - right} wrong" if truth else ""
    _write_title(canvas, title, f"{len(found)} species found in {len(tiles):,} tiles{known}")
    shown = (_SIDE_PX, _SIDE_PX + across, _HEAD_PX + down, _HEAD_PX)
    canvas.imshow(np.asarray(image), extent=shown, aspect="auto", interpolation="antialiased", zorder=0)
    wrong = {name for name, what in names if what == "wrong"}
    # The largest first: of what lies on top of each other the smaller is seen.
    for tile in sorted(tiles, key=lambda one: (one.x0 - one.x1) * (one.y1 - one.y0)):
        number = found.index(tile.name) if tile.name in found else None
        _draw_tile(canvas, tile, scale, number, tile.name in wrong)
    has_others = any(tile.name not in found for tile in tiles)
    _write_names(canvas, _SIDE_PX + across + _GAP_PX, names, has_others)
    return save(figure, path)


def _write_title(canvas: "Axes", title: str, words: str) -> None:
    say = writer(canvas)
    width = canvas.figure.bbox.width - 2 * _SIDE_PX
    say(_SIDE_PX, 34, fitted_words(title, width, 15, "bold"), fontsize=15, weight="bold")
    say(_SIDE_PX, 56, fitted_words(words, width, 10), fontsize=10, color=FAINT)


def _draw_bars(canvas: "Axes", left: float, words: str, rows: Sequence[tuple[str, float, int]], colour: str) -> None:
    say, start = writer(canvas), left + _NAME_PX + 10
    end = start + _BAR_PX + 110
    say(left, _HEAD_PX + _ROW_PX / 2, words, fontsize=10, weight="bold", va="center")
    if rows:
        say(end, _HEAD_PX + _ROW_PX / 2, "observations", fontsize=8.5, color=FAINT, ha="right", va="center")
    for number, (name, f1, support) in enumerate(rows, start=1):
        y = _HEAD_PX + (number + 0.5) * _ROW_PX
        say(left, y, fitted_words(name, _NAME_PX, 9), fontsize=9, va="center")
        _fill(canvas, start, y - 7, _BAR_PX, 14, GROUND)
        _fill(canvas, start, y - 7, _BAR_PX * f1, 14, colour)
        say(start + _BAR_PX + 8, y, f"{f1:.3f}", fontsize=9, va="center")
        say(end, y, f"{support:,}", fontsize=9, va="center", ha="right", color=FAINT)


def _most_confused(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """Return the species of most wrong answers, each beside the one that it is confused with most."""
    wrong, pairs = Counter[str](), Counter[tuple[str, str]]()
    for (species, answered), count in counts.items():
        if species != answered and count:
            pairs[species, answered] += count
            pairs[answered, species] += count
            wrong[species] += count
            wrong[answered] += count
    left = sorted(wrong, key=lambda name: (-wrong[name], name))[:MOST_CONFUSED]
    ordered: list[str] = []
    while left:
        last = ordered[-1] if ordered else left[0]
        following = min(left, key=lambda name: (-pairs[last, name], -wrong[name], name)) if ordered else last
        left.remove(following)
        ordered.append(following)
    return ordered


def _draw_cell(canvas: "Axes", left: float, top: float, count: int, total: int, colour: str) -> None:
    share = count / total if total else 0.0
    _fill(canvas, left + 1, top + 1, _CELL_PX - 2, _CELL_PX - 2, GROUND)
    if count:
        # Even one of many is seen.
        _fill(canvas, left + 1, top + 1, _CELL_PX - 2, _CELL_PX - 2, (*to_rgba(colour)[:3], 0.12 + 0.88 * share))
        words = f"{count:,}" if count < 100_000 else f"{count / 1000:,.0f}k"
        ink = "white" if share > 0.5 else INK
        x, y = left + _CELL_PX / 2, top + _CELL_PX / 2
        writer(canvas)(x, y, words, fontsize=9 if len(words) < 5 else 7, color=ink, ha="center", va="center")


def _largest_parts(scores: Sequence[SliceScore]) -> Iterator[tuple[str, list[SliceScore]]]:
    for kind in dict.fromkeys(score.kind for score in scores):
        parts = [score for score in scores if score.kind == kind and not math.isnan(score.value)]
        largest = sorted(range(len(parts)), key=lambda place: (-parts[place].count, place))[:MOST_PARTS]
        if largest:
            yield kind, [parts[place] for place in sorted(largest)]


def _draw_way(canvas: "Axes", left: float, top: float, height: float, whole: float | None) -> None:
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + share * _DOTS_PX
        canvas.plot([x, x], [top, top + height], color=GROUND if 0 < share < 1 else PALE, linewidth=1, zorder=0)
    if whole is not None and 0 <= whole <= 1:
        x = left + whole * _DOTS_PX
        canvas.plot([x, x], [top, top + height], color=INK, linewidth=1, linestyle=DASHED, zorder=1)


def _draw_dot(canvas: "Axes", left: float, y: float, score: SliceScore) -> None:
    say = writer(canvas)
    say(_SIDE_PX, y, fitted_words(score.part, _PART_PX - 20, 9), fontsize=9, va="center")
    if score.low is not None and score.high is not None:
        ends = [left + min(max(share, 0), 1) * _DOTS_PX for share in (score.low, score.high)]
        canvas.plot(ends, [y, y], color=ACCENT, linewidth=2.4, alpha=0.45, solid_capstyle="butt", zorder=2)
    if 0 <= score.value <= 1:
        x = left + score.value * _DOTS_PX
        canvas.plot([x], [y], marker="o", markersize=6, color=ACCENT, markeredgewidth=0, zorder=3)
    say(left + _DOTS_PX + 75, y, f"{score.value:.3f}", fontsize=9, va="center", ha="right")
    say(left + _DOTS_PX + 226, y, f"{score.count:,}", fontsize=9, va="center", ha="right", color=FAINT)


def _said_of(found: Sequence[str], truth: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that stand beside a quadrat and what each is; what was found comes first, in its order."""
    for name in found:
        yield name, "" if not truth else "right" if name in truth else "wrong"
    for name in truth:
        if name not in found:
            yield name, "missed"


def _draw_tile(canvas: "Axes", tile: NamedTile, scale: float, number: int | None, is_wrong: bool) -> None:
    from matplotlib.patches import Rectangle

    inset = 2.5
    left, top = _SIDE_PX + tile.x0 * scale + inset, _HEAD_PX + tile.y0 * scale + inset
    width, height = (tile.x1 - tile.x0) * scale - 2 * inset, (tile.y1 - tile.y0) * scale - 2 * inset
    colour = to_rgba(_NOT_KEPT if number is None else COLOURS[number % len(COLOURS)])[:3]
    sure = min(max(tile.probability, 0.0), 1.0)
    faint = 0.35 if number is None else 1.0
    canvas.add_patch(
        Rectangle(
            (left, top),
            width,
            height,
            facecolor=(*colour, _FULLEST * sure * faint),
            edgecolor=(*colour, 0.4 + 0.6 * sure),
            linewidth=2.2 if number is not None else 1.0,
            linestyle=DASHED if is_wrong else "solid",
        )
    )
    if width < _FEWEST_PX:
        return
    words = f"{tile.probability:.2f}" if number is None else f"{number + 1}  {tile.probability:.2f}"
    box = {"facecolor": (*colour, 0.9), "edgecolor": "none", "pad": 1.6}
    writer(canvas)(left + 5, top + 5, words, fontsize=7.5, color="white", va="top", bbox=box)


def _write_names(canvas: "Axes", left: float, names: Sequence[tuple[str, str]], has_others: bool) -> None:
    say, top = writer(canvas), _HEAD_PX + _ROW_PX / 2
    colours = {"right": ACCENT, "wrong": BAD, "missed": BAD, "": FAINT}
    for number, (name, what) in enumerate(names[:MOST_NAMES]):
        if what != "missed":
            _draw_swatch(canvas, left, top, COLOURS[number % len(COLOURS)], str(number + 1))
        else:
            _draw_swatch(canvas, left, top, None, "")
        say(left + 34, top, fitted_words(name, _LEGEND_PX - 120, 9.5), fontsize=9.5, va="center")
        say(left + _LEGEND_PX, top, what, fontsize=9.5, va="center", ha="right", color=colours[what], weight="bold")
        top += _ROW_PX
    if not names:
        say(left, top, "nothing was found", fontsize=9.5, va="center", color=FAINT)
        top += _ROW_PX
    if len(names) > MOST_NAMES:
        say(left + 34, top, f"and {len(names) - MOST_NAMES:,} more", fontsize=9.5, va="center", color=FAINT)
        top += _ROW_PX
    top += _ROW_PX / 2
    if has_others:
        _draw_swatch(canvas, left, top, _NOT_KEPT, "")
        say(left + 34, top, "best species of the tile not kept by the rule", fontsize=8.5, va="center", color=FAINT)
        top += _ROW_PX
    for place, sure in enumerate((0.2, 0.6, 1.0)):
        _fill(canvas, left + 9 * place, top - 7, 8, 14, (*to_rgba(COLOURS[0])[:3], _FULLEST * sure))
    say(left + 34, top, "the surer of its species, the fuller a tile", fontsize=8.5, va="center", color=FAINT)


def _draw_swatch(canvas: "Axes", left: float, y: float, colour: str | None, words: str) -> None:
    from matplotlib.patches import Rectangle

    edge = BAD if colour is None else colour
    face = "none" if colour is None else colour
    canvas.add_patch(Rectangle((left, y - 8), 26, 16, facecolor=face, edgecolor=edge, linewidth=1.2))
    writer(canvas)(left + 13, y, words, fontsize=8.5, color="white", ha="center", va="center")


def _fill(canvas: "Axes", left: float, top: float, width: float, height: float, colour: Any) -> None:
    from matplotlib.patches import Rectangle

    canvas.add_patch(Rectangle((left, top), width, height, facecolor=colour, edgecolor="none"))
