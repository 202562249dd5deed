from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modeling import station_figures
from modeling.station_figures import Growth, StageCost, VersionScore, draw_costs, draw_growth, draw_scores

DAY = date(2026, 5, 1)
STRANGE = r"$\frac{ a_1^ <b> 漢"


@pytest.fixture
def axes(monkeypatch):
    """Return the axes of what is drawn."""
    monkeypatch.setattr(station_figures, "save", lambda figure, *_: figure)
    return lambda draw, *given: draw(*given, Path("nowhere.png")).axes


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_figures_are_drawn_also_of_nothing_of_one_and_of_strange_names(tmp_path):
    many = [StageCost(f"stage {n} {STRANGE}", DAY + timedelta(n), 10.0 * n, float(n) or None) for n in range(30)]
    for number, costs in enumerate(([], many[:1], many)):
        draw_costs(costs, "day", tmp_path / f"costs-{number}.png")
    for number, growth in enumerate(([], [Growth(STRANGE, DAY, 3)])):
        draw_growth(growth, DAY, tmp_path / f"growth-{number}.png")
    for number, scores in enumerate(([], [VersionScore(STRANGE, 1, 0.5, None, None, False)])):
        draw_scores(scores, "macro F1", tmp_path / f"scores-{number}.png")
    files = list(tmp_path.glob("*.png"))
    assert len(files) == 7
    for file in files:
        assert np.asarray(Image.open(file).convert("L")).std() > 0


def test_the_bars_of_a_period_add_up_to_its_time(axes):
    costs = [StageCost("embed", DAY, 7200.0, 3.0), StageCost("train", DAY, 3600.0, None)]
    time, _ = axes(draw_costs, costs, "day")
    assert max(bar.get_y() + bar.get_height() for bar in time.patches) == pytest.approx(3.0)  # hours
    assert labels(time) == ["embed", "train"]


def test_stages_beyond_those_that_can_be_told_apart_are_drawn_together(axes):
    costs = [StageCost(f"s{number}", DAY, 100.0 - number, None) for number in range(10)]
    time, _ = axes(draw_costs, costs, "day")
    assert labels(time) == [*(f"s{number}" for number in range(7)), "others"]
    assert max(bar.get_y() + bar.get_height() for bar in time.patches) == pytest.approx(sum(range(91, 101)) / 60)


def test_a_champion_is_filled_and_others_are_not(axes):
    scores = [VersionScore("m", 1, 0.5, 0.4, 0.6, False), VersionScore("m", 2, 0.7, 0.6, 0.8, True)]
    (drawn,) = axes(draw_scores, scores, "macro F1")
    dots = {line.get_xdata()[0]: line.get_markerfacecolor() for line in drawn.lines if line.get_markersize() == 8}
    assert (dots[1], dots[2] != "white") == ("white", True)
    assert drawn.get_xlim() == (0.5, 2.5)
    assert all(float(tick).is_integer() for tick in drawn.get_xticks())


def test_a_data_set_begins_with_nothing_and_stays_until_the_last_day(axes):
    (drawn,) = axes(draw_growth, [Growth("d", DAY, 5), Growth("d", DAY + timedelta(3), 9)], DAY + timedelta(10))
    line = drawn.lines[0]
    assert list(line.get_ydata()) == [0, 5, 9, 9]
    assert line.get_xdata()[-1] == DAY + timedelta(10)
