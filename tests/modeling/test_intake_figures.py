import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photographs import encoded, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from modeling import drawing, intake_figures
from modeling.intake_figures import MOST_CELLS, SetAside, contact_sheet, draw_dataset

NOWHERE = np.empty((0, 2))
SPECIES = [("Poa annua", 120), ("Bellis perennis", 20), ("Acer campestre", 5), ("Rosa canina", 4)]
# Read as mathematics these fail to draw, or lose signs; the font lacks the last two.
STRANGE = r"$\frac{ a_1^ $ Carex × ö" + "\x07\n漢"
BLUE = encoded(Image.new("RGB", (400, 300), (0, 0, 255)), "JPEG")
BLUES = encoded(noise(0, 400, 300).point([0] * 512 + [215 + value // 8 for value in range(256)]))  # compresses badly


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return all that a figure says, in the order of drawing."""
    monkeypatch.setattr(intake_figures, "save", lambda figure, *_, **__: figure)

    def said(draw: Callable[..., Any], *given: object) -> list[str]:
        figure = draw(Path("nowhere.png"), *given)
        return [text.get_text() for axes in figure.axes for text in axes.texts]

    return said


def set_aside(kind: str, count: int = 1, thumbnail: bytes | None = None) -> list[SetAside]:
    return [SetAside(f"{kind}/{number}.jpg", kind, "what was wrong", thumbnail) for number in range(count)]


def is_blue_drawn(path: Path) -> bool:
    red, green, blue = np.asarray(Image.open(path).convert("RGB"), np.int16).transpose(2, 0, 1)
    return bool(((blue > 200) & (red < 60) & (green < 60)).sum() > 500)


@pytest.mark.parametrize("coordinates", [NOWHERE, np.array([[46.2, 6.1]]), np.array([[-17, 179.5], [-18, -179.5]])])
@pytest.mark.parametrize("species", [[], SPECIES[:1], [(f"Species {rank}", 1 + 900 // rank) for rank in range(1, 900)]])
def test_a_data_set_is_drawn_to_a_png_in_a_folder_that_need_not_be_there(tmp_path, species, coordinates):
    path = draw_dataset(tmp_path / "figures" / "seen.png", "seedlings", species, coordinates, {"photographs": 3})
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert 1000 < image.width <= 1600
    assert [file.name for file in path.parent.iterdir()] == ["seen.png"]


def test_a_figure_that_cannot_be_put_in_its_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match=r"taken\.png"):
        draw_dataset(tmp_path / "taken.png", "seedlings", SPECIES, NOWHERE, {})
    assert [file.name for file in tmp_path.iterdir()] == ["taken.png"]


def test_the_title_says_the_data_set_and_its_totals(words):
    said = words(draw_dataset, "seedlings", SPECIES, NOWHERE, {"photographs": 1234, "labelled": 149})
    assert said[:2] == ["seedlings", "1,234 photographs  ·  149 labelled"]


def test_species_and_photographs_at_or_above_each_cut_off_are_counted(words):
    said = words(draw_dataset, "seedlings", SPECIES, NOWHERE, {})
    for cut_off, species, photographs in (("5", "3", "145"), ("20", "2", "140"), ("100", "1", "120")):
        place = said.index(f"{cut_off} photographs")
        assert said[place : place + 3] == [f"{cut_off} photographs", species, photographs]


def test_the_five_largest_species_are_named_from_the_largest(words):
    counted = [(f"species {count}", count) for count in (3, 9, 1, 7, 5, 8)]
    said = words(draw_dataset, "seedlings", counted, NOWHERE, {})
    assert [text for text in said if text.startswith("species ")] == [f"species {count}" for count in (9, 8, 7, 5, 3)]


def test_the_order_in_which_species_are_given_does_not_show(tmp_path):
    drawn = draw_dataset(tmp_path / "one.png", "seedlings", SPECIES, NOWHERE, {})
    turned = draw_dataset(tmp_path / "two.png", "seedlings", SPECIES[::-1], NOWHERE, {})
    assert drawn.read_bytes() == turned.read_bytes()


def test_without_labels_the_figure_says_so(words):
    assert "no photograph is labelled" in words(draw_dataset, "season", [], NOWHERE, {"photographs": 9})


def test_there_is_a_map_only_of_places_on_the_globe(tmp_path):
    astray = np.array([[np.nan, 1], [91, 0], [0, 181], [np.inf, 0]])
    without, with_none, with_one = (
        draw_dataset(tmp_path / f"{number}.png", "seedlings", SPECIES, places, {}).read_bytes()
        for number, places in enumerate([NOWHERE, astray, np.append(astray, [[46, 6]], axis=0)])
    )
    assert without == with_none != with_one


@pytest.mark.parametrize(
    "corners",
    [
        [(-90, -180), (90, 180)],
        [(89.9, 0), (89.9, 90)],
        [(0, 0), (0, 0)],
        [(-20, -170), (-20, 170)],
        [(10, 5), (70, 5)],
    ],
    ids=["globe", "pole", "one place", "around the Pacific", "a meridian"],
)
def test_a_map_shows_all_places_with_a_margin_but_nothing_beyond_the_globe(corners):
    places = intake_figures._places(np.array(corners, float))
    extent = intake_figures._extent(places)
    assert extent.west <= places[:, 0].min() <= places[:, 0].max() <= extent.east
    assert extent.south <= places[:, 1].min() <= places[:, 1].max() <= extent.north
    assert 0 < extent.east - extent.west <= 360
    assert extent.south >= -90
    assert extent.north <= 90
    assert 0.3 < extent.aspect < 8


def test_neighbours_on_both_sides_of_180_degrees_are_neighbours_on_the_map():
    extent = intake_figures._extent(intake_figures._places(np.array([[-17, 179], [-18, -179]])))
    assert extent.east - extent.west < 5
    assert [intake_figures._degrees(degrees, "EW") for degrees in (179, 180, 181)] == ["179°E", "180°", "179°W"]


def test_a_degree_of_longitude_is_as_short_as_it_is_on_the_ground():
    extent = intake_figures._extent(intake_figures._places(np.array([[59.0, 10], [61.0, 14]])))
    assert extent.stretch == pytest.approx(2)
    assert extent.aspect == pytest.approx(1)


def test_a_large_data_set_is_drawn_in_seconds(tmp_path):
    random = np.random.default_rng(0)
    places = random.uniform((-60, -180), (70, 180), (100_000, 2))
    species = [(f"Species {rank}", 9000 // rank + 1) for rank in range(1, 8001)]
    start = time.perf_counter()
    path = draw_dataset(tmp_path / "seen.png", "world", species, places, {"photographs": 100_000})
    assert time.perf_counter() - start < 5  # about half a second on one processor that nobody shares
    assert path.stat().st_size < 500_000


def test_names_are_drawn_as_they_are_and_never_as_mathematics(tmp_path):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        figures = [
            draw_dataset(tmp_path / "seen.png", STRANGE, [(STRANGE, 3)], np.array([[46.2, 6.1]]), {STRANGE: 3}),
            contact_sheet(
                tmp_path / "aside.png", STRANGE, [SetAside(STRANGE, STRANGE, STRANGE, None)], {STRANGE: 1, "$_": 2}
            ),
        ]
    assert [str(warning.message) for warning in warned] == []
    assert [Image.open(figure).format for figure in figures] == ["PNG", "PNG"]


def test_signs_that_cannot_be_drawn_are_boxes(words):
    assert words(draw_dataset, STRANGE, [], NOWHERE, {})[0] == r"$\frac{ a_1^ $ Carex × ö□□□"


def test_a_contact_sheet_shows_some_of_each_kind(words):
    entries = [*set_aside("truncated", 40), *set_aside("empty", 40), *set_aside("too_small", 2)]
    said = words(contact_sheet, "seedlings", entries, {"truncated": 4000, "empty": 50, "too_small": 2})
    shown = [text.split("/")[0] for text in said if text.endswith(".jpg")]
    assert shown == ["truncated"] * 11 + ["empty"] * 11 + ["too_small"] * 2
    assert len(shown) == MOST_CELLS


def test_the_head_of_a_kind_says_how_many_there_are(words):
    said = words(contact_sheet, "seedlings", set_aside("truncated", 3), {"truncated": 4000, "file_without_row": 17})
    assert said[:2] == ["seedlings", "4,017 images set aside"]
    assert said.count("truncated  4,000") == 1
    assert said[-1] == "not shown: file_without_row 17"


def test_a_contact_sheet_of_nothing_says_so(words):
    assert words(contact_sheet, "seedlings", [], {})[1] == "nothing was set aside"


def test_a_long_name_keeps_its_beginning_and_its_end(words):
    entry = SetAside("images/train/1234/a-very-long-name-of-a-photograph.jpg", "empty", "no bytes", None)
    (name,) = (text for text in words(contact_sheet, "seedlings", [entry], {"empty": 1}) if "…" in text)
    assert name.startswith("images/")
    assert name.endswith("photograph.jpg")
    assert len(name) <= 32


def test_more_kinds_than_cells_are_named_at_the_foot(words):
    kinds = [f"kind_{number:02}" for number in range(30)]
    said = words(contact_sheet, "d", [one for kind in kinds for one in set_aside(kind)], dict.fromkeys(kinds, 1))
    assert sum(text.endswith(".jpg") for text in said) == MOST_CELLS
    assert "kind_29 1" in said[-1]


@pytest.mark.parametrize(
    "content",
    [
        BLUE,
        BLUE[: len(BLUE) // 2],
        encoded(Image.new("RGBA", (400, 300), (0, 0, 255, 255)), "PNG"),
        BLUES[: len(BLUES) // 2],
        encoded(Image.new("CMYK", (400, 300), (255, 255, 0, 0)), "JPEG"),
    ],
    ids=["whole", "cut", "see-through", "cut png", "cmyk"],
)
def test_a_contact_sheet_shows_what_of_an_image_can_be_decoded(tmp_path, content):
    assert is_blue_drawn(contact_sheet(tmp_path / "s.png", "d", set_aside("truncated", 1, content), {"truncated": 1}))
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("content", [None, b"", b"<html>", BLUE[:300], BLUE[100:]])
def test_where_nothing_can_be_decoded_there_is_a_card(tmp_path, content):
    assert not is_blue_drawn(contact_sheet(tmp_path / "s.png", "d", set_aside("empty", 1, content), {"empty": 1}))


def test_an_image_over_the_limit_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_PIXELS", 400 * 300 - 1)
    assert not is_blue_drawn(contact_sheet(tmp_path / "s.png", "d", set_aside("too_large", 1, BLUE), {"too_large": 1}))


def test_numbers_that_are_no_colours_are_shown_from_black_to_white():
    slope = Image.fromarray(np.linspace(-3, 5, 100, dtype=np.float32).reshape(1, -1).repeat(60, axis=0))
    shown = np.asarray(drawing.what_is_there(encoded(slope, "TIFF")))
    assert (shown.min(), shown.max()) == (0, 255)


def test_what_is_shown_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = drawing.what_is_there(encoded(noise(0, 90, 60), "JPEG", exif=exif))
    assert shown.size == (60, 90)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=50, deadline=None)
@given(
    original=st.sampled_from([encoded(noise(0), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")]),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    end=st.none() | st.integers(0, 5000),
)
def test_however_an_image_is_broken_it_is_shown_or_not_but_nothing_is_raised(original, changes, end):
    content = bytearray(original)
    for position, value in changes:
        content[position % len(content)] = value
    shown = drawing.what_is_there(bytes(content[:end]))
    assert shown is None or (shown.mode == "RGB" and shown.width <= 226 and shown.height <= 160)
