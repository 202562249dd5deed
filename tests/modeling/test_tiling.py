from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.errors import TilingError
from modeling.tiling import Boxes, Grid, Pyramid, Scheme, Tile, Window, parse

EXAMPLES = (
    r"say 'whole', 'grid-ROWSxCOLS' such as grid-4x4, 'pyramid-PX-FIRST\.\.LAST' such as pyramid-518-6\.\.1, "
    r"'window-PX-sSTRIDE-bBORDER' such as window-224-s112-b50"
)

Cut = tuple[Scheme, int, int]
SIDES = st.integers(1, 60)
LEVELS = st.integers(1, 8)


@st.composite
def grids(draw: st.DrawFn) -> Cut:
    grid = Grid(draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    return grid, draw(st.integers(grid.cols, 60)), draw(st.integers(grid.rows, 60))


@st.composite
def pyramids(draw: st.DrawFn) -> Cut:
    pyramid = Pyramid(draw(st.integers(1, 600)), draw(LEVELS), draw(LEVELS))
    fits = st.integers(max(pyramid.first, pyramid.last), 60)
    return pyramid, draw(fits), draw(fits)


@st.composite
def windows(draw: st.DrawFn) -> Cut:
    window_px = draw(st.integers(1, 16))
    window = Window(window_px, draw(st.integers(1, window_px)), draw(st.integers(0, 5)))
    fits = st.integers(2 * window.border_px + 1, 30)
    return window, draw(fits), draw(fits)


@st.composite
def boxes(draw: st.DrawFn) -> Cut:
    width, height = draw(SIDES), draw(SIDES)
    corners = st.tuples(
        st.integers(-9, width - 1), st.integers(-9, height - 1), st.integers(1, width + 9), st.integers(1, height + 9)
    )
    proposed = draw(st.lists(corners.filter(lambda box: box[0] < box[2] and box[1] < box[3]), min_size=1, max_size=9))
    return Boxes("sam", tuple(proposed)), width, height


def pixels(tile: Tile) -> list[tuple[int, int]]:
    return [(x, y) for x in range(tile.x0, tile.x1) for y in range(tile.y0, tile.y1)]


def rectangle(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    return [(x, y) for x in range(x0, x1) for y in range(y0, y1)]


def corners(tile: Tile) -> tuple[int, int, int, int]:
    return tile.x0, tile.y0, tile.x1, tile.y1


@given(st.one_of(grids(), pyramids(), windows(), boxes()))
def test_no_tile_is_empty_or_leaves_the_image(cut: Cut):
    scheme, width, height = cut
    tiles = scheme.tiles(width, height)
    assert tiles
    assert all(0 <= tile.x0 < tile.x1 <= width and 0 <= tile.y0 < tile.y1 <= height for tile in tiles)


@given(st.one_of(grids(), pyramids(), windows(), boxes()))
def test_tiles_are_numbered_from_zero_in_their_order(cut: Cut):
    scheme, width, height = cut
    tiles = scheme.tiles(width, height)
    assert [tile.index for tile in tiles] == list(range(len(tiles)))
    assert scheme.tile_count in {None, len(tiles)}


@given(st.one_of(grids(), pyramids(), windows()))
def test_a_level_is_listed_row_by_row_from_the_top_left(cut: Cut):
    scheme, width, height = cut
    tiles = scheme.tiles(width, height)
    for level in {tile.level for tile in tiles}:
        members = [tile for tile in tiles if tile.level == level]
        rows, columns = max(tile.row for tile in members) + 1, max(tile.column for tile in members) + 1
        assert [(tile.row, tile.column) for tile in members] == [
            divmod(cell, columns) for cell in range(rows * columns)
        ]
        assert [(tile.y0, tile.x0) for tile in members] == sorted((tile.y0, tile.x0) for tile in members)


@given(st.one_of(grids(), pyramids(), windows()))
def test_a_tiling_is_found_again_by_its_name(cut: Cut):
    scheme, _, _ = cut
    assert parse(scheme.scheme_id) == scheme


@pytest.mark.parametrize(
    ("text", "scheme", "scheme_id"),
    [
        ("whole", Grid(1, 1), "whole"),
        ("grid-1x1", Grid(1, 1), "whole"),
        ("grid-4x6", Grid(4, 6), "grid-4x6"),
        ("pyramid-518-6..1", Pyramid(518, 6, 1), "pyramid-518-6..1"),
        ("pyramid-518-1..6", Pyramid(518, 1, 6), "pyramid-518-1..6"),
        ("pyramid-518-4", Pyramid(518, 4, 4), "pyramid-518-4"),
        ("pyramid-518-4..4", Pyramid(518, 4, 4), "pyramid-518-4"),
        ("window-224-s112-b50", Window(224, 112, 50), "window-224-s112-b50"),
        ("window-224-s112", Window(224, 112), "window-224-s112"),
        ("window-224-s112-b0", Window(224, 112), "window-224-s112"),
        ("window-224-b50", Window(224, 224, 50), "window-224-b50"),
        ("window-224-s224-b50", Window(224, 224, 50), "window-224-b50"),
        ("window-224", Window(224, 224), "window-224"),
        ("boxes-sam_2.1-large", Boxes("sam_2.1-large"), "boxes-sam_2.1-large"),
    ],
)
def test_a_tiling_has_one_name_however_it_is_written(text: str, scheme: Scheme, scheme_id: str):
    assert parse(text) == scheme
    assert parse(text).scheme_id == scheme_id


@pytest.mark.parametrize(
    "scheme_id",
    [
        *("", "Whole", "whole ", "whole\n", "tiles"),
        *("grid", "grid-4", "grid-0x4", "grid-4x0", "grid-04x4", "grid-4x4\n", "grid-4x4x4", "grid--1x4", "grid-1٤x4"),
        *(
            "pyramid-518",
            "pyramid-518-0",
            "pyramid-518-6..0",
            "pyramid-0-6..1",
            "pyramid-518-6...1",
            "pyramid-518-06..1",
        ),
        *("pyramid-518-6-1", "pyramid-518-6..", "pyramid-518-6..1..2"),
        *("window", "window-0", "window-224-s0", "window-224-b01", "window-224-s012", "window-224-b50-s112"),
        *("window-224-s112-b-1", "window-224-112-50"),
        *("boxes", "boxes-", "boxes-.hidden", "boxes-a/b", "boxes-a b", "boxes-a:b", "boxes-a\n"),
    ],
)
def test_an_unknown_tiling_is_refused_with_examples(scheme_id: str):
    with pytest.raises(TilingError, match=f"there is no tiling .*{EXAMPLES} or 'boxes-NAME'$"):
        parse(scheme_id)


@pytest.mark.parametrize(
    ("scheme_id", "count"),
    [
        ("grid-101x100", "10,100"),
        ("grid-999999x999999", "999,998,000,001"),
        ("pyramid-518-31..1", "10,416"),
        ("pyramid-14-101", "10,201"),
    ],
)
def test_a_tiling_of_more_tiles_than_anyone_means_is_refused_with_their_number(scheme_id: str, count: str):
    with pytest.raises(TilingError, match=f"^{scheme_id} would have {count} tiles; at most 10,000"):
        parse(scheme_id)


def test_as_many_tiles_as_are_allowed_are_cut():
    assert len(Grid(100, 100).tiles(100, 100)) == 10_000
    assert len(Window(1, 1).tiles(100, 100)) == 10_000
    assert parse("pyramid-518-30..1").tile_count == 9_455


def test_windows_are_counted_for_each_image():
    with pytest.raises(TilingError, match=r"^window-1 of a 101x100 px image would have 10,100 tiles; at most 10,000"):
        parse("window-1").tiles(101, 100)


def test_more_boxes_than_anyone_means_are_refused():
    with pytest.raises(TilingError, match="boxes-sam would have 10,001 tiles"):
        Boxes("sam", ((0, 0, 1, 1),) * 10_001).tiles(10, 10)


def test_only_the_tiles_of_a_pyramid_are_scaled():
    assert parse("pyramid-518-6..1").tile_px == 518
    assert [parse(text).tile_px for text in ("whole", "grid-4x4", "window-224", "boxes-sam")] == [None] * 4


def test_only_where_every_image_has_as_many_tiles_their_number_is_said():
    assert [parse(text).tile_count for text in ("whole", "grid-4x6", "pyramid-518-6..1")] == [1, 24, 91]
    assert [parse(text).tile_count for text in ("window-224", "boxes-sam")] == [None, None]


@given(grids())
def test_every_pixel_lies_in_exactly_one_tile_of_a_grid(cut: Cut):
    grid, width, height = cut
    covered = [pixel for tile in grid.tiles(width, height) for pixel in pixels(tile)]
    assert sorted(covered) == rectangle(0, 0, width, height)


@given(grids())
def test_no_tile_of_a_grid_is_more_than_a_pixel_larger_than_another(cut: Cut):
    grid, width, height = cut
    tiles = grid.tiles(width, height)
    widths, heights = {tile.x1 - tile.x0 for tile in tiles}, {tile.y1 - tile.y0 for tile in tiles}
    assert max(widths) - min(widths) <= 1
    assert max(heights) - min(heights) <= 1


def test_the_tiles_of_a_grid_lie_row_by_row_from_the_top_left():
    tiles = Grid(rows=2, cols=3).tiles(width=30, height=20)
    assert [(tile.index, tile.level, tile.row, tile.column) for tile in tiles] == [
        (0, 1, 0, 0), (1, 1, 0, 1), (2, 1, 0, 2),
        (3, 1, 1, 0), (4, 1, 1, 1), (5, 1, 1, 2),
    ]  # fmt: skip
    assert [(tile.x0, tile.y0) for tile in tiles] == [(0, 0), (10, 0), (20, 0), (0, 10), (10, 10), (20, 10)]


def test_the_whole_image_is_one_tile():
    assert Grid(1, 1).tiles(7, 5) == [Tile(0, 1, 0, 0, x0=0, y0=0, x1=7, y1=5)]


@pytest.mark.parametrize(("width", "height"), [(3, 100), (100, 2)])
def test_an_image_of_fewer_pixels_than_tiles_is_refused(width: int, height: int):
    with pytest.raises(TilingError, match=f"{width}x{height} px image into 3 rows x 4 cols"):
        Grid(rows=3, cols=4).tiles(width, height)


@pytest.mark.parametrize(("rows", "cols"), [(0, 4), (4, 0), (-1, 4)])
def test_a_grid_of_no_tile_is_refused(rows: int, cols: int):
    with pytest.raises(TilingError, match=f"grid-{rows}x{cols} cannot be"):
        Grid(rows, cols)


@given(pyramids())
def test_every_level_of_a_pyramid_covers_the_centred_square_once(cut: Cut):
    pyramid, width, height = cut
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    tiles = pyramid.tiles(width, height)
    for level in {tile.level for tile in tiles}:
        covered = [pixel for tile in tiles if tile.level == level for pixel in pixels(tile)]
        assert sorted(covered) == rectangle(left, top, left + side, top + side)


@pytest.mark.parametrize(("scheme_id", "levels"), [("pyramid-14-3..1", [3, 2, 1]), ("pyramid-14-1..3", [1, 2, 3])])
def test_the_levels_of_a_pyramid_come_in_the_order_written(scheme_id: str, levels: list[int]):
    tiles = parse(scheme_id).tiles(30, 20)
    assert [tile.level for tile in tiles] == [level for level in levels for _ in range(level * level)]


def test_a_pyramid_from_six_to_one_has_91_tiles():
    assert len(parse("pyramid-518-6..1").tiles(3000, 2000)) == 91


def test_a_level_of_a_pyramid_is_cut_at_whole_pixels_from_the_squares_offset():
    tiles = parse("pyramid-518-3").tiles(width=15, height=10)
    assert [(tile.x0, tile.x1) for tile in tiles[:3]] == [(2, 5), (5, 8), (8, 12)]
    assert [(tile.y0, tile.y1) for tile in tiles[::3]] == [(0, 3), (3, 6), (6, 10)]


@pytest.mark.parametrize(("width", "height"), [(100, 5), (5, 100)])
def test_an_image_that_is_too_small_for_the_finest_level_is_refused(width: int, height: int):
    with pytest.raises(
        TilingError, match=rf"5x5 px square of a {width}x{height} px image into 6 .* \(pyramid-518-1\.\.6"
    ):
        parse("pyramid-518-1..6").tiles(width, height)


def test_tiles_are_not_scaled_to_absurd_sizes():
    assert parse("pyramid-4096-1").tile_px == 4096
    with pytest.raises(TilingError, match=r"pyramid-4097-1 would scale every tile to 4,097 px; at most 4,096"):
        parse("pyramid-4097-1")


@pytest.mark.parametrize("numbers", [(0, 1, 1), (518, 0, 6), (518, 6, 0)])
def test_a_pyramid_of_no_tile_is_refused(numbers: tuple[int, int, int]):
    with pytest.raises(TilingError, match="cannot be: 0 is not at least 1"):
        Pyramid(*numbers)


@given(windows())
def test_windows_see_every_pixel_that_the_border_leaves_and_no_other(cut: Cut):
    window, width, height = cut
    assert isinstance(window, Window)
    border = window.border_px
    seen = {pixel for tile in window.tiles(width, height) for pixel in pixels(tile)}
    assert sorted(seen) == rectangle(border, border, width - border, height - border)


@given(windows())
def test_windows_are_of_one_size(cut: Cut):
    window, width, height = cut
    assert isinstance(window, Window)
    left_x, left_y = width - 2 * window.border_px, height - 2 * window.border_px
    sizes = {(tile.x1 - tile.x0, tile.y1 - tile.y0) for tile in window.tiles(width, height)}
    assert sizes == {(min(window.window_px, left_x), min(window.window_px, left_y))}


@given(windows())
def test_all_windows_but_the_last_ones_stand_a_stride_apart(cut: Cut):
    window, width, height = cut
    assert isinstance(window, Window)
    tiles = window.tiles(width, height)
    lefts, tops = sorted({tile.x0 for tile in tiles}), sorted({tile.y0 for tile in tiles})
    for starts in (lefts, tops):
        steps = [after - before for before, after in pairwise(starts)]
        assert all(step == window.stride_px for step in steps[:-1])
        assert all(0 < step <= window.stride_px for step in steps[-1:])


def test_windows_slide_by_their_stride_inside_of_the_border():
    tiles = parse("window-4-s2-b1").tiles(width=10, height=8)
    assert [corners(tile) for tile in tiles] == [
        (1, 1, 5, 5), (3, 1, 7, 5), (5, 1, 9, 5),
        (1, 3, 5, 7), (3, 3, 7, 7), (5, 3, 9, 7),
    ]  # fmt: skip


def test_a_strip_at_the_edge_is_seen_by_one_more_window_flush_with_it():
    assert [corners(tile) for tile in parse("window-4").tiles(width=9, height=4)] == [
        (0, 0, 4, 4), (4, 0, 8, 4), (5, 0, 9, 4),
    ]  # fmt: skip


def test_a_window_is_no_larger_than_what_is_left():
    assert [corners(tile) for tile in parse("window-8-s4-b1").tiles(width=6, height=12)] == [
        (1, 1, 5, 9), (1, 3, 5, 11),
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(100, 500), (500, 100), (40, 40)])
def test_a_border_that_leaves_nothing_is_refused(width: int, height: int):
    with pytest.raises(
        TilingError, match=f"nothing is left of a {width}x{height} px image when 50 px are cut from every"
    ):
        parse("window-224-s112-b50").tiles(width, height)


def test_a_border_may_leave_a_pixel():
    assert [corners(tile) for tile in parse("window-224-s112-b50").tiles(101, 101)] == [(50, 50, 51, 51)]


def test_windows_that_would_leave_strips_between_them_are_refused():
    with pytest.raises(TilingError, match="window-10-s12 would leave strips of 2 px unseen"):
        parse("window-10-s12")


@pytest.mark.parametrize("numbers", [(0, 1, 0), (5, 0, 0), (5, 5, -1)])
def test_a_window_of_no_pixel_or_an_outer_border_is_refused(numbers: tuple[int, int, int]):
    with pytest.raises(TilingError, match="cannot be"):
        Window(*numbers)


def test_each_box_is_a_tile_in_the_order_given():
    tiles = Boxes("sam", ((5, 5, 9, 8), (0, 0, 2, 2))).tiles(10, 10)
    assert tiles == [Tile(0, 1, 0, 0, 5, 5, 9, 8), Tile(1, 1, 0, 1, 0, 0, 2, 2)]


def test_what_sticks_out_of_the_image_is_cut_off():
    (tile,) = Boxes("sam", ((-3, -1, 12, 99),)).tiles(10, 8)
    assert corners(tile) == (0, 0, 10, 8)


@pytest.mark.parametrize("box", [(5, 5, 5, 8), (5, 5, 8, 5), (8, 5, 5, 8), (5, 8, 8, 5)])
def test_an_empty_box_is_refused_with_its_number(box: tuple[int, int, int, int]):
    with pytest.raises(TilingError, match=rf"box 1 of boxes-sam, \({box[0]}, {box[1]}\) to .* is empty"):
        Boxes("sam", ((0, 0, 2, 2), box)).tiles(10, 10)


@pytest.mark.parametrize("box", [(10, 0, 12, 5), (0, 8, 5, 12), (-5, 0, 0, 5), (0, -5, 5, 0)])
def test_a_box_outside_of_the_image_is_refused_with_its_number_and_the_images_size(box: tuple[int, int, int, int]):
    with pytest.raises(TilingError, match=r"box 0 of boxes-sam, .* lies outside of a 10x8 px image"):
        Boxes("sam", (box,)).tiles(10, 8)


def test_boxes_are_known_by_name_and_a_photograph_without_any_is_refused():
    assert isinstance(parse("boxes-sam"), Boxes)
    with pytest.raises(
        TilingError, match=rf"boxes-sam cuts .* none for this one; for a photograph by itself {EXAMPLES}$"
    ):
        parse("boxes-sam").tiles(10, 10)


def test_the_boxes_of_an_image_go_by_the_name_of_all():
    assert Boxes("sam", ((0, 0, 1, 1),)).scheme_id == "boxes-sam"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "a:b"])
def test_boxes_of_a_name_that_could_not_be_read_again_are_refused(name: str):
    with pytest.raises(TilingError, match="is no name for boxes"):
        Boxes(name)
