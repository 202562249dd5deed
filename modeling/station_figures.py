"""A place over time, in pictures: what its stages cost, how its data sets grew, how its models scored.

Pure drawing from values to PNG files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modeling.drawing import (
    ACCENT,
    FAINT,
    INK,
    PALE,
    drawable,
    middle_cut,
    panelled,
    save,
    say_why_empty,
    writer,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (ACCENT, "#4c78a8", "#d08c2f", "#8a63a6", "#a0785a", "#5f9ea0", "#6b8e4e", FAINT)
_OTHERS = "others"
_MOST_LINES = 7  # more cannot be told apart; what is beyond is drawn together or left out
_MOST_SIGNS = 28
_EPOCH = date(1970, 1, 1)  # of matplotlib's days
_DAYS = {"day": 1, "week": 7, "month": 31}


@dataclass(frozen=True)
class StageCost:
    """What a stage cost in a period."""

    stage: str
    period: date  # its first day
    seconds: float
    images_per_second: float | None  # None: it read no photographs


@dataclass(frozen=True)
class Growth:
    """How many photographs a data set held at the end of a period."""

    dataset: str
    period: date
    photographs: int


@dataclass(frozen=True)
class VersionScore:
    """What a model version reached; 95 of 100 resamples lie from low to high."""

    model: str
    version: int
    value: float
    low: float | None
    high: float | None
    is_champion: bool


def draw_costs(costs: Sequence[StageCost], unit: str, path: Path) -> Path:
    """Draw the time that stages took, period by period, and how many photographs a second they went through.

    Args:
        costs: In any order, one for a stage and period.
        unit: day, week or month: how long a period is.
        path: The PNG file to write; replaced in one step.
    """
    figure, panels = panelled([["time", "speed"]], (11.5, 3.8), [1])
    stages = _largest({stage: _sum(costs, stage) for stage in {cost.stage for cost in costs}})
    _draw_time(panels["time"], costs, stages, unit)
    _draw_speed(panels["speed"], costs, unit)
    return save(figure, path)


def draw_growth(growth: Sequence[Growth], until: date, path: Path) -> Path:
    """Draw how data sets grew, each as a line that rises when photographs come.

    Args:
        growth: In any order, one for a data set and period.
        until: The day up to which lines are drawn.
        path: The PNG file to write; replaced in one step.
    """
    figure, panels = panelled([["grown"]], (7.2, 3.6), [1])
    axes = panels["grown"]
    last = {one.dataset: one.photographs for one in sorted(growth, key=lambda one: one.period)}
    for colour, dataset in zip(_COLOURS, _largest(last), strict=False):
        steps = sorted((one.period, one.photographs) for one in growth if one.dataset == dataset)
        steps = [(steps[0][0] - timedelta(days=1), 0), *steps, (max(until, steps[-1][0]), steps[-1][1])]
        days, counts = zip(*steps, strict=True)
        axes.step(days, counts, where="post", color=colour, linewidth=1.8, label=_short(dataset))
        axes.plot(days[1:-1], counts[1:-1], "o", color=colour, markersize=4)
    _finish(axes, "photographs", bool(growth), "no photographs yet")
    return save(figure, path)


def draw_scores(scores: Sequence[VersionScore], metric: str, path: Path) -> Path:
    """Draw what the versions of models reached, each with its interval; a champion is filled.

    Args:
        scores: Of one metric on one side of a data set, in any order.
        metric: The name of the axis.
        path: The PNG file to write; replaced in one step.
    """
    from matplotlib.ticker import MaxNLocator

    figure, panels = panelled([["scores"]], (7.2, 3.6), [1])
    axes = panels["scores"]
    models = _largest({score.model: float(score.version) for score in scores})
    for colour, model in zip(_COLOURS, models, strict=False):
        own = sorted((score for score in scores if score.model == model), key=lambda score: score.version)
        axes.plot([one.version for one in own], [one.value for one in own], color=colour, linewidth=1, alpha=0.5)
        for one in own:
            if one.low is not None and one.high is not None:
                axes.plot([one.version] * 2, [one.low, one.high], color=colour, linewidth=1.4, alpha=0.7)
            filled = colour if one.is_champion else "white"
            axes.plot(one.version, one.value, "o", color=colour, markerfacecolor=filled, markersize=8)
        axes.plot([], [], "o-", color=colour, label=_short(model))
    axes.set_xlabel("version (filled: champion)", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    numbers = [score.version for score in scores] or [1]
    axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
    axes.margins(y=0.15)
    _finish(axes, metric, bool(scores), "nothing scored yet", dated=False)
    return save(figure, path)


def _draw_time(axes: "Axes", costs: Sequence[StageCost], stages: Sequence[str], unit: str) -> None:
    """Stack the stages of each period; the largest lie at the bottom."""
    longest = max((cost.seconds for cost in costs), default=0.0)
    name, length = next((part for part in (("hours", 3600), ("minutes", 60)) if longest >= part[1]), ("seconds", 1))
    tops: dict[date, float] = {}
    others = {cost.stage for cost in costs} - set(stages)
    for colour, stage in zip((*_COLOURS[: len(stages)], PALE), (*stages, _OTHERS), strict=True):
        members = others if stage == _OTHERS else {stage}
        spent: dict[date, float] = {}
        for cost in costs:
            if cost.stage in members:
                spent[cost.period] = spent.get(cost.period, 0.0) + cost.seconds / length
        if spent:
            bottoms = [tops.get(period, 0.0) for period in spent]
            axes.bar(
                [(period - _EPOCH).days for period in spent],
                list(spent.values()),
                bottom=bottoms,
                width=0.8 * _DAYS[unit],
                align="edge",
                color=colour,
                label=_short(stage),
            )
            tops |= {period: tops.get(period, 0.0) + amount for period, amount in spent.items()}
    _finish(axes, f"{name} in a {unit}", bool(costs), "no stage has run yet")


def _draw_speed(axes: "Axes", costs: Sequence[StageCost], unit: str) -> None:
    quick = [cost for cost in costs if cost.images_per_second is not None]
    stages = _largest({stage: _sum(quick, stage) for stage in {cost.stage for cost in quick}})
    for colour, stage in zip(_COLOURS, stages, strict=False):
        own = sorted((cost.period, cost.images_per_second) for cost in quick if cost.stage == stage)
        days, speeds = zip(*own, strict=True)
        axes.plot(days, speeds, "o-", color=colour, linewidth=1.2, markersize=5, label=_short(stage))
    if quick:
        axes.set_yscale("log")
    _finish(axes, f"photographs a second, of a {unit}", bool(quick), "no photographs were read yet")


def _finish(axes: "Axes", words: str, has_data: bool, why_empty: str, dated: bool = True) -> None:
    if not has_data:
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        say_why_empty(axes, why_empty)
        return
    writer(axes)(0, 1.03, words, transform=axes.transAxes, fontsize=10)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    if dated:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]
        first, last = axes.dataLim.intervalx
        # Days at least are between its ends: nothing here is known by the hour.
        if last - first < 2:
            axes.set_xlim(first - 1, last + 1)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    legend = axes.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for text in legend.get_texts():
        text.set_parse_math(False)


def _largest(amounts: dict[str, float] | dict[str, int]) -> list[str]:
    """Return the names of the largest amounts, of equal ones by name, as many as can be told apart."""
    return sorted(amounts, key=lambda name: (-amounts[name], name))[:_MOST_LINES]


def _sum(costs: Sequence[StageCost], stage: str) -> float:
    return sum(cost.seconds for cost in costs if cost.stage == stage)


def _short(name: str) -> str:
    return drawable(middle_cut(name, _MOST_SIGNS))
