"""All rules of a sweep in one picture: what they score, how many species they answer with, and what they trade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from modeling.drawing import ACCENT, BAD, FAINT, PALE, new_figure, save

_AXES = (
    # across, upwards, and whether a rule can be better in both
    ("mean_species", "macro_f1_per_observation", False),
    ("macro_f1_per_species", "macro_f1_per_observation", True),
    ("snakeclef_track2", "snakeclef_track1", False),
    ("accuracy", "macro_f1", True),
)
_NAMES = {
    "mean_species": "species in an answer, on average",
    "macro_f1_per_observation": "F1, mean over observations",
    "macro_f1_per_species": "F1, mean over species",
    "snakeclef_track1": "track 1 (more is better)",
    "snakeclef_track2": "track 2 (less is better)",
}


@dataclass(frozen=True)
class SweptRule:
    """A rule with its scores."""

    words: str  # what sets it apart from the others
    values: Mapping[str, float]  # by metric
    low: float | None  # of the metric that rules are chosen by
    high: float | None


def draw_sweep(rules: Sequence[SweptRule], metric: str, best_one: int, title: str, path: Path) -> Path:
    """Draw every rule as a dot: the score over the size of answers, and what one score costs of another.

    Args:
        rules: In any order.
        metric: That the best rule is chosen by.
        best_one: The number of the best rule, which is marked and named.
        title: Above the picture.
        path: The PNG file to write; replaced in one step.
    """
    best = rules[best_one]
    pairs = [pair for pair in _AXES if {pair[0], pair[1]} <= set(best.values)][:2]
    figure = new_figure(6.4 * len(pairs), 5.0)
    figure.set_layout_engine("constrained")
    words = f"best of {len(rules):,} by {metric}: {best.words or 'as usual'}"
    figure.suptitle(f"{title}\n{_short(words)}", x=0.01, ha="left", fontsize=11, parse_math=False)
    for number, (across, upwards, has_front) in enumerate(pairs, start=1):
        canvas = figure.add_subplot(1, len(pairs), number)
        x, y = ([rule.values[name] for rule in rules] for name in (across, upwards))
        canvas.scatter(x, y, s=10, color=FAINT, linewidths=0, alpha=0.7)
        if has_front:
            _draw_front(canvas, list(zip(x, y, strict=True)))
        if upwards == metric and best.low is not None and best.high is not None:
            canvas.plot([best.values[across]] * 2, [best.low, best.high], color=BAD, linewidth=1.6)
        canvas.plot(best.values[across], best.values[upwards], "o", color=BAD, markersize=7, label="best rule")
        canvas.set_xlabel(_NAMES.get(across, across))
        canvas.set_ylabel(_NAMES.get(upwards, upwards))
        canvas.grid(color=PALE, linewidth=0.6)
        canvas.set_axisbelow(True)
        canvas.spines[["top", "right"]].set_visible(False)
        canvas.legend(frameon=False, fontsize=9, loc="lower right")
    return save(figure, path)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points to which none is better in one coordinate and as good in the other, from left to right."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (-point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front[::-1]


def _draw_front(canvas: Axes, points: Sequence[tuple[float, float]]) -> None:
    x, y = zip(*pareto_front(points), strict=True)
    canvas.plot(x, y, color=ACCENT, linewidth=1.2, marker="o", markersize=3.5, label="nothing better in both")


def _short(words: str, most: int = 150) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
