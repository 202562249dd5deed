import sys
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photographs import encoded, plain
from matplotlib.colors import to_hex
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from modeling import drawing, training_figures
from modeling.calibration import Reliability, reliability
from modeling.errors import ModelingError
from modeling.training_figures import (
    MOST_PAIRS,
    MOST_POINTS,
    Confusion,
    draw_confusions,
    draw_embedding_map,
    draw_per_species,
    draw_reliability,
    embedding_map,
    map_sample,
)

# Read as mathematics these fail to draw, or lose signs; the font lacks the last two.
STRANGE = r"_$\frac{ a_1^ $ {Carex} × ö" + "\x07\n漢"
WIDE = "W" * 300
BLUE, RED = plain("blue"), plain("red")
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(60, 2))
JUDGED = reliability(RANDOM.uniform(size=200), RANDOM.uniform(size=200) < 0.5)


def draw_all(folder: Path, name: str) -> list[Path]:
    """Draw every figure with one name wherever a name stands."""
    names = [f"{name}{number % 12}" for number in range(60)]
    counts = np.arange(60) * 7
    pairs = [Confusion(names[number], name, 60 - number, BLUE, RED) for number in range(15)]
    return [
        draw_reliability(JUDGED, JUDGED, 0.25, 0.125, name, folder / "reliability.png"),
        draw_confusions(pairs, folder / "confusions.png"),
        draw_embedding_map(POINTS, names, name, folder / "map.png"),
        draw_embedding_map(POINTS, names, name, folder / "maps.png", before=-POINTS),
        draw_per_species(names, np.linspace(0, 1, 60), counts, folder / "species.png"),
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
    monkeypatch.setattr(training_figures, "save", lambda figure, *_, **__: figure)
    return lambda draw, *given, **more: draw(*given, **more, path=Path("nowhere.png"))


@pytest.fixture
def words(figure_of: Callable[..., Any]) -> Callable[..., list[str]]:
    """Return all that a figure says, in the order of drawing."""
    return lambda *given, **more: said_by(figure_of(*given, **more))


@pytest.fixture
def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)


def said_by(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bars_in(axes: Any, colour: str) -> list[tuple[float, float]]:
    """Return bottom and top of the bars that can be seen in a colour, from left to right."""
    bars = [bar for bar in axes.patches if to_hex(bar.get_facecolor()) == colour]
    ends = [sorted((bar.get_y(), bar.get_y() + bar.get_height())) for bar in bars]
    return [(round(low, 6), round(high, 6)) for low, high in ends if high > low]


def dots_of(axes: Any) -> dict[str, list[list[float]]]:
    """Return the places of the dots of each colour."""
    return {
        to_hex(dots.get_facecolors()[0]): dots.get_offsets().tolist()
        for dots in axes.collections
        if len(dots.get_offsets())
    }


def test_a_figure_is_a_png_with_something_on_it_in_a_folder_that_need_not_be_there(drawn):
    for path in drawn[0]:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert 900 < image.width <= 1600
            assert 500 < image.height <= 1600
            assert len(image.convert("RGB").getcolors(10_000_000)) > 20
    assert sorted(drawn[0]) == sorted(drawn[0][0].parent.iterdir())


def test_names_are_drawn_as_they_are_and_never_as_mathematics(drawn):
    assert drawn[1] == []


def test_signs_that_cannot_be_drawn_are_boxes(words):
    said = words(draw_embedding_map, POINTS[:1], ["_$ö_1^\x07\n漢"], title="$ö_1^\x07\n漢")
    assert said[0] == "$ö_1^□□□"
    assert "_$ö_1^□□□" in said


@pytest.mark.parametrize("name", [WIDE, "Anthriscus sylvestris subsp. sylvestris " * 5])
def test_no_name_is_so_wide_that_it_lies_on_other_words_or_leaves_the_figure(monkeypatch, name):
    figures: list[Any] = []
    monkeypatch.setattr(training_figures, "save", lambda figure, *_, **__: figures.append(figure))
    draw_all(Path("nowhere"), name)
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
        assert not [(one, other) for one, other in combinations(boxes, 2) if one.overlaps(other)]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)


def test_a_head_that_is_too_sure_is_drawn_apart_from_one_that_is_not_sure_enough(figure_of):
    edges = np.array([0.0, 0.5, 1.0])
    found = Reliability(edges[:-1], edges[1:], np.array([2, 2]), np.array([0.25, 0.75]), np.array([0.5, 0.5]))
    axes = figure_of(draw_reliability, found, found, 0.25, 0.25, title="head").axes[1]
    assert bars_in(axes, drawing.ACCENT) == [(0, 0.5), (0, 0.5)]
    assert bars_in(axes, training_figures._PALE_ACCENT) == [(0.25, 0.5)]
    assert bars_in(axes, training_figures._PALE_BAD) == [(0.5, 0.75)]


def test_a_reliability_diagram_says_both_errors_and_of_how_many_answers(figure_of):
    figure = figure_of(draw_reliability, JUDGED, JUDGED, 0.25, 0.125, title="head")
    assert [axes.get_title(loc="left") for axes in figure.axes[1:3]] == ["before: ECE 0.250", "after: ECE 0.125"]
    assert figure.axes[3].get_xlabel() == "how sure the head was, of 200 answers"


def test_a_reliability_diagram_of_nothing_says_so(figure_of):
    nothing = reliability(np.empty(0), np.empty(0, bool))
    figure = figure_of(draw_reliability, nothing, nothing, np.nan, np.nan, title="head")
    titles = [axes.get_title(loc="left") for axes in figure.axes[1:3]]
    assert titles == ["before: no answer to judge", "after: no answer to judge"]


def test_the_most_frequent_confusions_come_first_and_the_others_are_counted(words):
    pairs = [Confusion(f"species {count}", "other", count, None, None) for count in range(1, MOST_PAIRS + 4)]
    said = words(draw_confusions, pairs)
    frequent = [f"species {count}" for count in range(MOST_PAIRS + 3, 3, -1)]
    assert [text for text in said if text.startswith("species ")] == frequent
    assert said[1] == "120 photographs in 15 pairs of species; the 12 most frequent"
    assert said.index("15 of this species") == said.index("species 15") - 1


def test_the_order_in_which_confusions_are_given_does_not_show(tmp_path):
    pairs = [Confusion(name, "other", 3, BLUE, RED) for name in "abc"]
    drawn = draw_confusions(pairs, tmp_path / "one.png")
    turned = draw_confusions(pairs[::-1], tmp_path / "two.png")
    assert drawn.read_bytes() == turned.read_bytes()


def test_a_confusion_shows_both_photographs_the_confused_one_at_the_left(tmp_path):
    path = draw_confusions([Confusion("Poa annua", "Poa trivialis", 1, BLUE, RED)], tmp_path / "c.png")
    red, _, blue = np.asarray(Image.open(path).convert("RGB"), np.int16).transpose(2, 0, 1)
    assert np.flatnonzero((blue - red > 200).any(axis=0)).max() < np.flatnonzero((red - blue > 200).any(axis=0)).min()


@pytest.mark.parametrize("content", [None, b"", b"<html>", encoded(Image.new("RGB", (90, 90), "blue"), "JPEG")[:200]])
def test_where_a_photograph_cannot_be_decoded_there_is_a_crossed_box(figure_of, content):
    pair = Confusion("Poa annua", "Poa trivialis", 1, content, RED)
    (canvas,) = figure_of(draw_confusions, [pair]).axes
    assert len(canvas.images) == 1
    assert sum(line.get_color() == drawing.PALE for line in canvas.lines) == 2


def test_a_single_confusion_is_told_in_the_singular(words):
    said = words(draw_confusions, [Confusion("Poa annua", "Poa trivialis", 1, None, None)])
    assert said[1] == "1 photograph in 1 pair of species"


def test_where_nothing_is_confused_the_figure_says_so(words):
    assert words(draw_confusions, [])[1] == "no photograph was given a wrong name"


def test_the_ten_most_frequent_species_have_colours_of_their_own_and_all_others_are_grey(figure_of):
    names = [f"species {rank:02}" for rank in range(13) for _ in range(20 - rank)]
    points = RANDOM.normal(size=(len(names), 2))
    figure = figure_of(draw_embedding_map, points, names, title="map")
    dots = dots_of(figure.axes[1])
    grey = dots.pop(drawing.PALE)
    assert sorted(grey) == sorted(points[[name >= "species 10" for name in names]].tolist())
    for rank, colour in enumerate(training_figures.COLOURS):
        assert dots[colour] == points[[name == f"species {rank:02}" for name in names]].tolist()


def test_the_legend_of_a_map_counts_photographs_from_the_most_frequent_species(words):
    names = ["b"] * 3 + ["a"] * 3 + ["c"] * 5 + [f"d{number:02}" for number in range(9)]
    said = words(draw_embedding_map, RANDOM.normal(size=(len(names), 2)), names, title="map")
    assert said[2:9] == ["photographs", "c", "5", "a", "3", "b", "3"]
    assert said[-2:] == ["2 other species", "2"]


@pytest.mark.parametrize(("count", "said"), [(MOST_POINTS, "2,000 drawn"), (3000, "2,000 of 3,000 drawn")])
def test_of_a_large_set_a_map_shows_the_same_observations_before_and_after_and_says_how_many(figure_of, count, said):
    points = RANDOM.normal(size=(count, 2))
    figure = figure_of(draw_embedding_map, points, ["Poa annua"] * count, title="map", before=points)
    before, after = dots_of(figure.axes[1]), dots_of(figure.axes[2])
    assert before == after == {training_figures.COLOURS[0]: points[map_sample(count)].tolist()}
    assert [axes.get_title(loc="left") for axes in figure.axes[1:3]] == [
        "before: embeddings",
        "after: logits of the head",
    ]
    assert said_by(figure)[1].endswith(f"; {said}")
    assert f"{count:,}" in said_by(figure)


def test_a_map_of_nothing_says_so(words):
    assert "nothing to map" in words(draw_embedding_map, np.empty((0, 2)), [], title="map")


@pytest.mark.parametrize(("points", "before"), [(POINTS[:3], None), (POINTS[:2], POINTS[:3]), (np.zeros((2, 3)), None)])
def test_a_map_without_a_point_for_each_name_is_refused(tmp_path, points, before):
    with pytest.raises(ModelingError, match="each of 2 names"):
        draw_embedding_map(points, ["a", "b"], "map", tmp_path / "map.png", before)


def test_a_sample_is_all_of_few_and_the_same_of_many_each_time():
    assert map_sample(0).tolist() == []
    assert map_sample(MOST_POINTS).tolist() == list(range(MOST_POINTS))
    drawn = map_sample(5000)
    assert len(set(drawn.tolist())) == MOST_POINTS
    assert drawn.tolist() == sorted(drawn.tolist()) == map_sample(5000).tolist() != map_sample(5000, seed=1).tolist()


def test_without_umap_a_map_is_of_the_principal_components_of_standardised_features(without_umap):
    features = RANDOM.normal(size=(50, 6)) * [1, 10, 1e4, 1, 1, 0] + 3
    features[:, 0] += features[:, 1]
    points, method = embedding_map(features.astype(np.float32))
    theirs = PCA(2).fit_transform(StandardScaler().fit_transform(features))
    assert method == "PCA"
    np.testing.assert_allclose(np.abs(points), np.abs(theirs), atol=1e-4)


def test_a_map_is_the_same_each_time_and_does_not_depend_on_units(without_umap):
    features = RANDOM.normal(size=(40, 5))
    drawn, _ = embedding_map(features)
    again, _ = embedding_map(features.copy())
    scaled, _ = embedding_map(features * [1e-3, 1, 1e6, 2, 5] + 7)
    assert (drawn == again).all()
    np.testing.assert_allclose(scaled, drawn, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_a_map_is_never_mirrored_what_counts_most_grows_to_the_right(without_umap, seed):
    features = np.random.default_rng(seed).normal(size=(30, 3))
    points, _ = embedding_map(features)
    along = np.corrcoef(points[:, 0], features, rowvar=False)[0, 1:]
    assert along[np.abs(along).argmax()] > 0


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3, 4), (5, 1), (3, 0)])
def test_of_too_little_there_is_a_map_too(without_umap, shape):
    points, _ = embedding_map(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


@pytest.mark.parametrize("features", [np.zeros(4), np.array([[1, np.nan]]), np.array([[np.inf, 1]])])
def test_features_that_cannot_be_mapped_are_refused(features):
    with pytest.raises(ModelingError, match=r"finite features \(N, D\)"):
        embedding_map(features)


@pytest.mark.slow  # a quarter of a minute until UMAP is compiled
@pytest.mark.parametrize("count", [4, 60])
def test_with_umap_a_map_is_the_same_each_time_and_keeps_apart_what_lies_apart(count):
    pytest.importorskip("umap.umap_")
    is_far = np.arange(count) % 2 == 1
    features = RANDOM.normal(size=(count, 8)) + 30 * is_far[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        points, method = embedding_map(features, seed=7)
    assert (method, points.shape, points.dtype) == ("UMAP", (count, 2), np.float64)
    assert (points == embedding_map(features, seed=7)[0]).all()
    if count > 4:
        distances = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(distances, np.inf)
        assert (is_far[distances.argmin(axis=1)] == is_far).all()


def test_the_long_tail_is_counted_by_parts_with_the_mean_of_each(figure_of):
    counts, scores = np.array([0, 4, 5, 19, 100, 3000]), np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    figure = figure_of(draw_per_species, list("abcdef"), scores, counts)
    said = said_by(figure)
    assert said[1] == "macro F1 0.500  ·  6 species"
    for part in (
        ["0 to 4", "2", "0.100"],
        ["5 to 19", "2", "0.500"],
        ["20 to 99", "0", "–"],
        ["100 and more", "2", "0.900"],
    ):
        place = said.index(part[0])
        assert said[place : place + 3] == part
    heights = [line.get_ydata()[0] for line in figure.axes[1].lines if line.get_color() == drawing.INK]
    assert heights == pytest.approx([0.1, 0.5, 0.9])


def test_the_species_with_the_lowest_scores_are_named_those_with_most_photographs_first(figure_of):
    names = ["many", "few", "some", "never", "good", "better", "best"]
    scores, counts = np.array([0, 0, 0, 0, 0.5, 0.6, 0.9]), np.array([900, 2, 30, 0, 5, 5, 5])
    figure = figure_of(draw_per_species, names, scores, counts)
    assert [text for text in said_by(figure) if text in names] == ["many", "some", "few", "never", "good"]
    ringed = figure.axes[1].collections[1].get_offsets().tolist()
    assert ringed == [[900, 0], [30, 0], [2, 0], [0.5, 0], [5, 0.5]]


@pytest.mark.parametrize("counts", [[1], [0], [7_000_000], [0, 1, 10, 100]])
def test_every_species_is_within_the_axes(figure_of, counts):
    axes = figure_of(draw_per_species, ["a"] * len(counts), np.ones(len(counts)), np.array(counts)).axes[1]
    low, high = axes.get_xlim()
    assert all(low < max(count, 0.5) < high for count in counts)
    assert axes.get_xscale() == "log"


def test_species_without_a_score_are_left_out_and_counted(figure_of):
    scores = np.array([0.5, np.nan, 0.7])
    figure = figure_of(draw_per_species, ["a", "b", "c"], scores, np.array([3, 4, 5]))
    assert said_by(figure)[1] == "macro F1 0.600  ·  2 species, 1 without an F1"
    assert figure.axes[1].collections[0].get_offsets().tolist() == [[3, 0.5], [5, 0.7]]
    assert "b" not in said_by(figure)


def test_where_no_species_was_judged_the_figure_says_so(words):
    said = words(draw_per_species, [], np.empty(0), np.empty(0, np.int64))
    assert said[1:] == ["no species was judged", "nothing to judge"]


def test_scores_that_are_not_one_for_each_species_are_refused(tmp_path):
    with pytest.raises(ModelingError, match=r"each of 2 species.*\(1,\) and \(2,\)"):
        draw_per_species(["a", "b"], np.array([0.5]), np.array([1, 2]), tmp_path / "species.png")
