import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.errors import TilingError
from modeling.tiling import Grid, Tile, parse

SIDES = st.integers(1, 40)


@st.composite
def cut_images(draw: st.DrawFn) -> tuple[Grid, int, int]:
    grid = Grid(draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    return grid, draw(st.integers(grid.cols, 60)), draw(st.integers(grid.rows, 60))


def pixels(tile: Tile) -> list[tuple[int, int]]:
    return [(x, y) for x in range(tile.x0, tile.x1) for y in range(tile.y0, tile.y1)]


@given(cut_images())
def test_every_pixel_lies_in_exactly_one_tile(cut: tuple[Grid, int, int]):
    grid, width, height = cut
    covered = [pixel for tile in grid.tiles(width, height) for pixel in pixels(tile)]
    assert sorted(covered) == [(x, y) for x in range(width) for y in range(height)]


@given(cut_images())
def test_no_tile_is_more_than_a_pixel_larger_than_another(cut: tuple[Grid, int, int]):
    grid, width, height = cut
    tiles = grid.tiles(width, height)
    widths, heights = {tile.x1 - tile.x0 for tile in tiles}, {tile.y1 - tile.y0 for tile in tiles}
    assert max(widths) - min(widths) <= 1
    assert max(heights) - min(heights) <= 1


def test_tiles_are_numbered_row_by_row_from_the_top_left():
    tiles = Grid(rows=2, cols=3).tiles(width=30, height=20)
    assert [(tile.index, tile.row, tile.column) for tile in tiles] == [
        (0, 0, 0), (1, 0, 1), (2, 0, 2),
        (3, 1, 0), (4, 1, 1), (5, 1, 2),
    ]  # fmt: skip
    assert [(tile.x0, tile.y0) for tile in tiles] == [(0, 0), (10, 0), (20, 0), (0, 10), (10, 10), (20, 10)]


def test_the_whole_image_is_one_tile():
    assert Grid(1, 1).tiles(7, 5) == [Tile(0, 0, 0, x0=0, y0=0, x1=7, y1=5)]


@pytest.mark.parametrize(("width", "height"), [(3, 100), (100, 2)])
def test_an_image_of_fewer_pixels_than_tiles_is_refused(width: int, height: int):
    with pytest.raises(TilingError, match=f"{width}x{height} px image into 3 rows x 4 cols"):
        Grid(rows=3, cols=4).tiles(width, height)


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_tiling_is_found_again_by_its_name(rows: int, cols: int):
    assert parse(Grid(rows, cols).scheme_id) == Grid(rows, cols)


def test_tilings_have_one_name():
    assert Grid(1, 1).scheme_id == "whole"
    assert Grid(4, 6).scheme_id == "grid-4x6"


@pytest.mark.parametrize(
    "scheme_id",
    [
        "",
        "Whole",
        "whole ",
        "grid",
        "grid-4",
        "grid-0x4",
        "grid-4x0",
        "grid-04x4",
        "grid-4x4\n",
        "grid-4x4x4",
        "grid--1x4",
    ],
)
def test_an_unknown_tiling_is_refused_with_an_example(scheme_id: str):
    with pytest.raises(TilingError, match="say 'whole' or 'grid-ROWSxCOLS', such as grid-4x4"):
        parse(scheme_id)
