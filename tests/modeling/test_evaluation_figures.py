import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photographs import plain
from matplotlib.colors import to_hex
from PIL import Image

from modeling import drawing, evaluation_figures
from modeling.calibration import Reliability, reliability
from modeling.errors import ModelingError
from modeling.evaluation_figures import (
    MOST_BARS,
    MOST_CONFUSED,
    MOST_NAMES,
    MOST_PARTS,
    NamedTile,
    draw_answer_reliability,
    draw_best_and_worst,
    draw_confusion_matrix,
    draw_quadrat,
    draw_slices,
)
from modeling.report import SliceScore

# Read as mathematics these fail to draw, or lose signs; the font lacks the last two.
STRANGE = r"_$\frac{ a_1^ $ {Carex} × ö" + "\x07\n漢"
QUADRAT = plain("white", "white", width=200, height=100)
POA, STELLARIA = "Poa annua", "Stellaria media"
TILES = [NamedTile(0, 0, 100, 100, POA, 0.9), NamedTile(100, 0, 200, 100, STELLARIA, 0.6)]
RANDOM = np.random.default_rng(0)
JUDGED = reliability(RANDOM.uniform(size=200), RANDOM.uniform(size=200) < 0.5)


def part(name: str, count: int, value: float = 0.5, kind: str = "site") -> SliceScore:
    return SliceScore(kind, name, "macro F1", value, value - 0.1, value + 0.1, count)


def draw_all(folder: Path, name: str) -> list[Path]:
    """Draw every figure with one name wherever a name stands."""
    names = [f"{name}{number}" for number in range(40)]
    pairs = {(names[number], names[other]): 9 for number in range(17) for other in (number, (number + 1) % 17)}
    slices = [part(f"{name}{number}", number, kind=f"{name}{number % 3}") for number in range(9)]
    tiles = [NamedTile(0, 0, 100, 100, names[0], 0.9), NamedTile(100, 0, 200, 100, names[30], 0.6)]
    return [
        draw_best_and_worst(names, np.linspace(0, 1, 40), np.arange(40) * 1000, folder / "species.png"),
        draw_confusion_matrix(pairs, folder / "matrix.png"),
        draw_answer_reliability(JUDGED, 0.25, name, folder / "reliability.png"),
        draw_slices(slices, 0.5, folder / "slices.png"),
        draw_quadrat(QUADRAT, tiles, names[:8], names[4:12], name, folder / "quadrat.png"),
    ]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[str]]:
    """Return the files of all figures of strange names, and what was warned of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        paths = draw_all(tmp_path_factory.mktemp("drawn") / "figures", STRANGE)
    return paths, [str(warning.message) for warning in warned]


@pytest.fixture
def figure_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a figure instead of its file."""
    monkeypatch.setattr(evaluation_figures, "save", lambda figure, *_, **__: figure)
    return lambda draw, *given: draw(*given, path=Path("nowhere.png"))


@pytest.fixture
def words(figure_of: Callable[..., Any]) -> Callable[..., list[str]]:
    """Return all that a figure says, in the order of drawing."""
    return lambda *given: [text.get_text() for axes in figure_of(*given).axes for text in axes.texts]


def areas_of(figure: Any, colour: str) -> list[Any]:
    """Return the areas of a colour, however faint, in the order of drawing."""
    return [area for axes in figure.axes for area in axes.patches if to_hex(area.get_facecolor()) == to_hex(colour)]


def tiles_of(figure: Any) -> list[Any]:
    """Return the drawn tiles: what lies on the photograph."""
    (canvas,) = figure.axes
    end = canvas.images[0].get_extent()[1]
    return [area for area in canvas.patches if area.get_x() < end]


def test_a_figure_is_a_png_with_something_on_it_in_a_folder_that_need_not_be_there(drawn):
    for path in drawn[0]:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert 700 <= image.width <= 1600
            assert 250 < image.height <= 1600
            assert len(image.convert("RGB").getcolors(10_000_000)) > 20
    assert sorted(drawn[0]) == sorted(drawn[0][0].parent.iterdir())


def test_names_are_drawn_as_they_are_and_never_as_mathematics(drawn):
    assert drawn[1] == []


@pytest.mark.parametrize("name", ["W" * 300, "Anthriscus sylvestris subsp. sylvestris " * 5])
def test_no_name_is_so_wide_that_it_lies_on_other_words_or_leaves_the_figure(monkeypatch, name):
    figures: list[Any] = []
    monkeypatch.setattr(evaluation_figures, "save", lambda figure, *_, **__: figures.append(figure))
    draw_all(Path("nowhere"), name)
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts if text.get_text()]
        assert not [(one, other) for one, other in combinations(boxes, 2) if one.overlaps(other)]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)


def test_the_worst_species_stand_on_one_side_and_the_best_on_the_other(words):
    names = [f"s{number:02}" for number in range(2 * MOST_BARS + 10)]
    said = words(draw_best_and_worst, names, np.linspace(0, 1, len(names)), np.full(len(names), 7))
    assert [word for word in said if word in names] == names[:MOST_BARS] + names[: -MOST_BARS - 1 : -1]


@pytest.mark.parametrize("count", [1, 2, 5, 2 * MOST_BARS])
def test_of_few_species_each_is_drawn_once(words, count):
    names = [f"s{number:02}" for number in range(count)]
    said = words(draw_best_and_worst, names, np.linspace(0, 1, count), np.full(count, 7))
    assert sorted(word for word in said if word in names) == names


def test_of_equal_species_the_most_frequent_stands_outside(words):
    said = words(draw_best_and_worst, ["a", "b", "c", "d"], np.array([0.0, 0.0, 1.0, 1.0]), np.array([1, 9, 1, 9]))
    assert [word for word in said if len(word) == 1 and word.isalpha()] == ["b", "a", "d", "c"]


def test_a_species_without_an_f1_is_left_out_of_bars_and_mean(words):
    said = words(draw_best_and_worst, ["seen", "never"], np.array([0.5, np.nan]), np.array([4, 0]))
    assert "never" not in said
    assert said[1] == "F1 of 1 species  ·  macro F1 0.500"


def test_a_bar_is_as_long_as_its_f1(figure_of):
    figure = figure_of(draw_best_and_worst, ["low", "high"], np.array([0.25, 0.75]), np.array([4, 4]))
    (ground, _), (low,), (high,) = (areas_of(figure, one) for one in (drawing.GROUND, drawing.BAD, drawing.ACCENT))
    assert low.get_width() == pytest.approx(ground.get_width() * 0.25)
    assert high.get_width() == pytest.approx(ground.get_width() * 0.75)


def test_bars_of_other_lengths_than_names_are_refused():
    with pytest.raises(ModelingError, match="each of 1 species"):
        draw_best_and_worst(["Poa"], np.zeros(2), np.zeros(2, np.int64), Path("nowhere.png"))


def test_a_matrix_tells_how_many_of_a_species_were_taken_for_which(figure_of):
    counts = {("Poa", "Poa"): 6, ("Poa", "Viola"): 3, ("Poa", "Bellis"): 1, ("Viola", "Viola"): 4}
    figure = figure_of(draw_confusion_matrix, counts)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[1] == "4 of 14 answers are wrong"
    rows = said[said.index("another") + 1 :]
    assert rows == ["Poa", "6", "3", "1", "of 10", "Viola", "4", "of 4", "Bellis", "of 0"]
    assert len(areas_of(figure, drawing.ACCENT)) == 2
    assert len(areas_of(figure, drawing.BAD)) == 2


def test_the_fuller_a_cell_the_larger_its_share_of_the_species(figure_of):
    counts = {("Poa", "Poa"): 6, ("Poa", "Viola"): 2, ("Viola", "Poa"): 1}
    figure = figure_of(draw_confusion_matrix, counts)
    (right,), wrong = areas_of(figure, drawing.ACCENT), areas_of(figure, drawing.BAD)
    share, all_of_it = (one.get_facecolor()[3] for one in wrong)
    assert share < right.get_facecolor()[3] < all_of_it == 1


def test_of_many_confused_species_the_most_confused_are_shown_and_the_rest_are_another(words):
    many = {(f"s{number:02}", "Poa"): number + 1 for number in range(MOST_CONFUSED + 3)}
    said = words(draw_confusion_matrix, {**many, ("Poa", "s00"): 1})
    rows = [word for word in said[said.index("another") + 1 :] if word == "Poa" or word.startswith("s")]
    assert len(rows) == MOST_CONFUSED
    assert rows[0] == "Poa"
    assert "s00" not in rows
    assert said[said.index("another") + 1 :][:3] == ["Poa", "1", "of 1"]


def test_species_that_are_confused_with_each_other_stand_side_by_side(words):
    counts = {("a", "b"): 9, ("c", "d"): 9, ("b", "c"): 1}
    said = words(draw_confusion_matrix, counts)
    rows = [word for word in said[said.index("another") + 1 :] if word.isalpha()]
    assert rows == ["b", "a", "c", "d"]


def test_a_matrix_without_a_wrong_answer_says_so(words):
    assert words(draw_confusion_matrix, {("Poa", "Poa"): 3})[1] == "no species was given a wrong name"
    assert words(draw_confusion_matrix, {})[1] == "no species was given a wrong name"


def test_answers_that_are_too_sure_are_drawn_apart_from_those_that_are_not_sure_enough(figure_of):
    edges = np.array([0.0, 0.5, 1.0])
    found = Reliability(edges[:-1], edges[1:], np.array([1, 3]), np.array([0.25, 0.75]), np.array([0.5, 0.5]))
    _, bins, counts = figure_of(draw_answer_reliability, found, 0.25, "m/1").axes
    drawn_bars = [(bar.get_x(), round(bar.get_height(), 6)) for bar in bins.patches if bar.get_height()]
    assert drawn_bars == [(0, 0.5), (0.5, 0.5), (0.5, 0.25), (0, -0.25)]
    assert [bar.get_height() for bar in counts.patches] == [0.25, 0.75]


def test_where_no_answer_was_judged_the_figure_says_so(words):
    said = words(draw_answer_reliability, reliability(np.zeros(0), np.zeros(0, bool)), np.nan, "m/1")
    assert "no answer to judge" in said
    assert not [word for word in said if "nan" in word]


def test_a_slice_is_a_dot_on_its_whisker(figure_of):
    (canvas,) = figure_of(draw_slices, [SliceScore("site", "a", "F1", 0.5, 0.25, 0.75, 3)], None).axes
    zero, one = sorted({line.get_xdata()[0] for line in canvas.lines if to_hex(line.get_color()) == drawing.PALE})
    whisker, dot = [line for line in canvas.lines if to_hex(line.get_color()) == drawing.ACCENT]
    assert [(x - zero) / (one - zero) for x in whisker.get_xdata()] == [0.25, 0.75]
    assert [(x - zero) / (one - zero) for x in dot.get_xdata()] == [0.5]


def test_a_slice_that_cannot_be_resampled_has_no_whisker(figure_of):
    (canvas,) = figure_of(draw_slices, [SliceScore("site", "a", "F1", 0.5, None, None, 3)], None).axes
    assert len([line for line in canvas.lines if to_hex(line.get_color()) == drawing.ACCENT]) == 1


def test_of_many_slices_of_a_kind_the_largest_are_drawn_in_their_order(words):
    slices = [part(f"s{number:02}", number) for number in range(MOST_PARTS + 3)]
    said = words(draw_slices, slices, 0.5)
    assert [word for word in said if word in {one.part for one in slices}] == [one.part for one in slices[3:]]
    assert said[1].startswith(f"{MOST_PARTS} of {len(slices)} slices")


def test_slices_of_several_metrics_are_not_drawn_on_one_axis():
    with pytest.raises(ModelingError, match="of one metric"):
        draw_slices([part("a", 3), SliceScore("site", "a", "recall", 0.5, 0.4, 0.6, 3)], None, Path("nowhere.png"))


@pytest.mark.parametrize(
    "draw", [lambda path: draw_slices([], None, path), lambda path: draw_confusion_matrix({}, path)]
)
def test_nothing_is_drawn_as_a_figure_that_says_so(tmp_path, draw):
    with Image.open(draw(tmp_path / "empty.png")) as image:
        assert image.width > 600


def test_the_surer_a_tile_the_fuller_its_colour(figure_of):
    tiles = [NamedTile(0, 0, 100, 100, POA, 0.2), NamedTile(100, 0, 200, 100, POA, 0.9)]
    faint, full = tiles_of(figure_of(draw_quadrat, QUADRAT, tiles, [POA], [], "q1"))
    assert to_hex(faint.get_facecolor()) == to_hex(full.get_facecolor())
    assert faint.get_facecolor()[3] < full.get_facecolor()[3] < 0.5


def test_tiles_of_species_that_were_not_kept_are_grey_and_bear_no_number(figure_of):
    figure = figure_of(draw_quadrat, QUADRAT, TILES, [POA], [], "q1")
    kept, other = tiles_of(figure)
    assert to_hex(other.get_facecolor()) == evaluation_figures._NOT_KEPT != to_hex(kept.get_facecolor())
    said = [text.get_text() for text in figure.axes[0].texts]
    assert "1  0.90" in said
    assert "0.60" in said
    assert "best species of the tile not kept by the rule" in said


def test_tiles_of_species_that_are_not_there_have_a_dashed_edge(figure_of):
    right, wrong = tiles_of(figure_of(draw_quadrat, QUADRAT, TILES, [POA, STELLARIA], [POA], "q1"))
    assert right.get_linestyle() in {"solid", "-"}
    assert wrong.get_linestyle() not in {"solid", "-"}
    assert len({one.get_linestyle() for one in tiles_of(figure_of(draw_quadrat, QUADRAT, TILES, [POA], [], "q1"))}) == 1


def test_what_is_right_wrong_and_missed_is_said_beside_a_quadrat(words):
    said = words(draw_quadrat, QUADRAT, TILES, [POA, STELLARIA], [POA, "Bellis perennis"], "q1")
    assert said[1] == "2 species found in 2 tiles  ·  1 right, 1 missed, 1 wrong"
    names = said[said.index(POA) - 1 :]
    assert names[:9] == ["1", POA, "right", "2", STELLARIA, "wrong", "", "Bellis perennis", "missed"]


def test_where_nobody_knows_what_stands_there_nothing_is_called_wrong(words):
    said = words(draw_quadrat, QUADRAT, TILES, [POA], [], "q1")
    assert not {"right", "wrong", "missed"} & set(said)
    assert said[1] == "1 species found in 2 tiles"


def test_a_tile_within_another_is_seen(figure_of):
    tiles = [NamedTile(0, 0, 50, 50, POA, 0.5), NamedTile(0, 0, 200, 100, POA, 0.5)]
    below, above = tiles_of(figure_of(draw_quadrat, QUADRAT, tiles, [POA], [], "q1"))
    assert below.get_width() > above.get_width()


@pytest.mark.parametrize("count", [11, MOST_NAMES + 5])
def test_a_quadrat_may_hold_more_species_than_there_are_colours_or_lines(words, count: int):
    names = [f"Species {position}" for position in range(count)]
    tiles = [NamedTile(0, 0, 100, 100, name, 0.5) for name in names]
    said = words(draw_quadrat, QUADRAT, tiles, names, names, "q1")
    assert len([word for word in said if word in names]) == min(count, MOST_NAMES)
    assert ("and 5 more" in said) == (count > MOST_NAMES)


def test_a_quadrat_without_a_tile_or_species_is_drawn(words):
    assert "nothing was found" in words(draw_quadrat, QUADRAT, [], [], [], "q1")
