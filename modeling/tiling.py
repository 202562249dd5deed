"""Where the tiles of an image lie. Geometry only: no pixels, no files.

Every scheme has one name, its ``scheme_id``, and ``parse`` finds the scheme again by it:

- ``whole``: the image as it is;
- ``grid-RxC``: R rows x C columns that cover it;
- ``pyramid-S-A..B``: its centred square, cut into k x k tiles for each k from A to B; with one level, ``pyramid-S-A``;
- ``window-W-sS-bB``: windows of W px every S px, after B px were cut from every side; ``-sS`` is left out where the
  stride is the window, ``-bB`` where nothing is cut;
- ``boxes-NAME``: rectangles that something else has proposed for each image.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from modeling.errors import TilingError

Box = tuple[int, int, int, int]  # x0, y0, x1, y1
_Span = tuple[int, int]  # where a tile begins and ends along one side
_Cell = tuple[int, int, int, _Span, _Span]  # level, row, column, x0 and x1, y0 and y1

# Of one image. What asks for more is a slip of the pen that would fill memory, photograph by photograph.
MOST_TILES = 10_000
MOST_TILE_PX = 4_096  # to which a tile is scaled
_NUMBER = "([1-9][0-9]{0,5})"
_GRID = re.compile(f"grid-{_NUMBER}x{_NUMBER}")
_PYRAMID = re.compile(rf"pyramid-{_NUMBER}-{_NUMBER}(?:\.\.{_NUMBER})?")
_WINDOW = re.compile(f"window-{_NUMBER}(?:-s{_NUMBER})?(?:-b(0|{_NUMBER}))?")
_BOXES = re.compile(r"boxes-([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXAMPLES = (
    "'whole', 'grid-ROWSxCOLS' such as grid-4x4, 'pyramid-PX-FIRST..LAST' such as pyramid-518-6..1, "
    "'window-PX-sSTRIDE-bBORDER' such as window-224-s112-b50"
)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the upright image in pixels; right and lower edge are exclusive."""

    index: int  # over the whole scheme, in the order in which it lists its tiles
    level: int  # k of a pyramid, 1 elsewhere
    row: int  # within the level, from the top
    column: int  # within the level, from the left
    x0: int
    y0: int
    x1: int
    y1: int


class Scheme(Protocol):
    """A way to cut any image into tiles."""

    @property
    def scheme_id(self) -> str:
        """The tiling as text, as tables and options name it."""

    @property
    def tile_px(self) -> int | None:
        """Side in px to which each tile is scaled before the backbone's own preprocessing; None: it is not."""

    @property
    def tile_count(self) -> int | None:
        """Number of tiles of an image; None where it hangs on the image."""

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Return the tiles of an image of so many pixels, each of at least one pixel and inside of it.

        Raises:
            TilingError: If the image cannot be cut so.
        """


@dataclass(frozen=True)
class Grid:
    """An image cut into ``rows`` x ``cols`` tiles that cover it exactly; 1 x 1 is the whole image."""

    rows: int
    cols: int

    def __post_init__(self) -> None:
        """Refuse a grid of no tile, or of more than anyone means."""
        _require_positive(self.scheme_id, self.rows, self.cols)
        _require_few(self.scheme_id, self.tile_count)

    @property
    def scheme_id(self) -> str:
        """``whole`` or ``grid-RxC``."""
        return "whole" if self.rows == self.cols == 1 else f"grid-{self.rows}x{self.cols}"

    @property
    def tile_px(self) -> int | None:
        """None: tiles keep the size that they have."""
        return None

    @property
    def tile_count(self) -> int:
        """Rows times columns."""
        return self.rows * self.cols

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Return the tiles of an image, row by row from the top left.

        Raises:
            TilingError: If the image has fewer pixels than tiles in one direction.
        """
        if width < self.cols or height < self.rows:
            raise TilingError(
                f"cannot cut a {width}x{height} px image into {self.rows} rows x {self.cols} cols: "
                f"a tile would be empty"
            )
        return _numbered(_cells(1, _edges(0, width, self.cols), _edges(0, height, self.rows)))


@dataclass(frozen=True)
class Pyramid:
    """The centred square of an image, seen at several scales: level k cuts it into k x k tiles.

    It is what scaling the short side to k times ``tile_px``, cropping the centre and cutting that into tiles of
    ``tile_px`` gives, said as rectangles of the image itself.
    """

    tile_px: int
    first: int  # the levels stand in this order, up or down
    last: int

    def __post_init__(self) -> None:
        """Refuse a pyramid of no tile, of too large tiles, or of more than anyone means."""
        _require_positive(self.scheme_id, self.tile_px, self.first, self.last)
        if self.tile_px > MOST_TILE_PX:
            raise TilingError(
                f"{self.scheme_id} would scale every tile to {self.tile_px:,} px; at most {MOST_TILE_PX:,} are allowed"
            )
        _require_few(self.scheme_id, self.tile_count)

    @property
    def scheme_id(self) -> str:
        """``pyramid-S-A..B``, or ``pyramid-S-A`` for one level."""
        levels = f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"
        return f"pyramid-{self.tile_px}-{levels}"

    @property
    def tile_count(self) -> int:
        """The sum of the squares of the levels."""
        low, high = sorted((self.first, self.last))
        return _squares(high) - _squares(low - 1)

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Return the tiles of an image, level by level in the order written, row by row from the top left.

        Raises:
            TilingError: If the short side has fewer pixels than the finest level has tiles.
        """
        side = min(width, height)
        finest = max(self.first, self.last)
        if side < finest:
            raise TilingError(
                f"cannot cut the centred {side}x{side} px square of a {width}x{height} px image into {finest} rows x "
                f"{finest} cols ({self.scheme_id}): a tile would be empty"
            )
        left, top = (width - side) // 2, (height - side) // 2
        step = 1 if self.first <= self.last else -1
        return _numbered(
            cell
            for level in range(self.first, self.last + step, step)
            for cell in _cells(level, _edges(left, side, level), _edges(top, side, level))
        )


@dataclass(frozen=True)
class Window:
    """Windows of one size that slide over what is left of an image when a border was cut from every side.

    Where the last window of a row or column stops short of the edge, one more stands flush with it: no strip is
    unseen. Where less is left than a window, the window is as large as what is left.
    """

    window_px: int
    stride_px: int
    border_px: int = 0

    def __post_init__(self) -> None:
        """Refuse windows of no pixel, and windows that leave strips between them."""
        _require_positive(self.scheme_id, self.window_px, self.stride_px)
        if self.border_px < 0:
            raise TilingError(f"{self.scheme_id}: a border of {self.border_px} px cannot be cut")
        if self.stride_px > self.window_px:
            raise TilingError(
                f"{self.scheme_id} would leave strips of {self.stride_px - self.window_px} px unseen: the stride "
                f"({self.stride_px} px) may not be larger than the window ({self.window_px} px)"
            )

    @property
    def scheme_id(self) -> str:
        """``window-W-sS-bB``, without a stride that is the window and without a border of nothing."""
        stride = "" if self.stride_px == self.window_px else f"-s{self.stride_px}"
        border = f"-b{self.border_px}" if self.border_px else ""
        return f"window-{self.window_px}{stride}{border}"

    @property
    def tile_px(self) -> int | None:
        """None: windows keep the size that they have."""
        return None

    @property
    def tile_count(self) -> int | None:
        """None: a larger image has more windows."""
        return None

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Return the windows of an image, row by row from the top left.

        Raises:
            TilingError: If the border leaves nothing of the image, or it would have more than ``MOST_TILES``.
        """
        inner_width, inner_height = width - 2 * self.border_px, height - 2 * self.border_px
        if inner_width < 1 or inner_height < 1:
            raise TilingError(
                f"nothing is left of a {width}x{height} px image when {self.border_px} px are cut from every side "
                f"({self.scheme_id})"
            )
        spans_x, spans_y = self._spans(inner_width), self._spans(inner_height)
        _require_few(f"{self.scheme_id} of a {width}x{height} px image", len(spans_x) * len(spans_y))
        return _numbered(_cells(1, spans_x, spans_y))

    def _spans(self, length: int) -> list[_Span]:
        """Return (start, end) of the windows along a side of what is left, in pixels of the image."""
        size = min(self.window_px, length)
        starts = list(range(0, length - size + 1, self.stride_px))
        if starts[-1] + size < length:
            starts.append(length - size)
        return [(self.border_px + start, self.border_px + start + size) for start in starts]


@dataclass(frozen=True)
class Boxes:
    """Rectangles that a detector or a person has proposed, one tile each.

    They are those of one image. What ``parse`` returns has the name and none of them: whoever knows the boxes of an
    image builds the scheme anew, ``Boxes(scheme.name, boxes)``.
    """

    name: str
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that could not be read again."""
        if not _BOXES.fullmatch(self.scheme_id):
            raise TilingError(
                f"{self.name!r} is no name for boxes: letters, digits, '.', '_' and '-' are, a letter or digit first"
            )

    @property
    def scheme_id(self) -> str:
        """``boxes-NAME``."""
        return f"boxes-{self.name}"

    @property
    def tile_px(self) -> int | None:
        """None: boxes keep the size that they have."""
        return None

    @property
    def tile_count(self) -> int | None:
        """None: every image has its own."""
        return None

    def tiles(self, width: int, height: int) -> list[Tile]:
        """Return a tile for each box, in their order, all in row 0; what sticks out of the image is cut off.

        Raises:
            TilingError: If there is no box, one is empty or lies outside of the image, or there are more than
                ``MOST_TILES``.
        """
        if not self.boxes:
            raise TilingError(
                f"{self.scheme_id} cuts a photograph at boxes that were given for it, and there are none for this one; "
                f"for a photograph by itself say {_EXAMPLES}"
            )
        _require_few(self.scheme_id, len(self.boxes))
        return [self._tile(index, width, height) for index in range(len(self.boxes))]

    def _tile(self, index: int, width: int, height: int) -> Tile:
        x0, y0, x1, y1 = self.boxes[index]
        said = f"box {index} of {self.scheme_id}, ({x0}, {y0}) to ({x1}, {y1}),"
        if x0 >= x1 or y0 >= y1:
            raise TilingError(f"{said} is empty")
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise TilingError(f"{said} lies outside of a {width}x{height} px image")
        return Tile(index, 1, 0, index, max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))


def parse(scheme_id: str) -> Scheme:
    """Return the scheme that a text names. Of ``boxes-NAME`` that is a scheme without boxes yet.

    Raises:
        TilingError: If it names none, or one of absurd size.
    """
    if scheme_id == "whole":
        return Grid(1, 1)
    if found := _GRID.fullmatch(scheme_id):
        return Grid(int(found[1]), int(found[2]))
    if found := _PYRAMID.fullmatch(scheme_id):
        return Pyramid(int(found[1]), int(found[2]), int(found[3] or found[2]))
    if found := _WINDOW.fullmatch(scheme_id):
        return Window(int(found[1]), int(found[2] or found[1]), int(found[3] or 0))
    if found := _BOXES.fullmatch(scheme_id):
        return Boxes(found[1])
    raise TilingError(f"there is no tiling {scheme_id!r}; say {_EXAMPLES} or 'boxes-NAME'")


def parse_all(scheme_ids: str) -> tuple[Scheme, ...]:
    """Return the schemes that a text names, joined by a plus: each once, in their order.

    Raises:
        TilingError: If a part names none.
    """
    schemes = map(parse, scheme_ids.split("+"))
    return tuple({scheme.scheme_id: scheme for scheme in schemes}.values())


def _edges(start: int, length: int, parts: int) -> list[_Span]:
    """Divide a stretch of pixels into parts."""
    # Integer edges, not a fixed tile size: the remainder of the division is spread over the tiles, so that no strip of
    # pixels is left unseen.
    edges = [start + length * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def _cells(level: int, spans_x: list[_Span], spans_y: list[_Span]) -> Iterator[_Cell]:
    """Yield the cells of one level, row by row."""
    for row, span_y in enumerate(spans_y):
        for column, span_x in enumerate(spans_x):
            yield level, row, column, span_x, span_y


def _numbered(cells: Iterable[_Cell]) -> list[Tile]:
    """Return cells as tiles, numbered as they come."""
    return [
        Tile(index, level, row, column, x0, y0, x1, y1)
        for index, (level, row, column, (x0, x1), (y0, y1)) in enumerate(cells)
    ]


def _squares(highest: int) -> int:
    """Return 1 + 4 + 9 + ... up to the square of a number."""
    return highest * (highest + 1) * (2 * highest + 1) // 6


def _require_positive(scheme_id: str, *numbers: int) -> None:
    for number in numbers:
        if number < 1:
            raise TilingError(f"{scheme_id} cannot be: {number} is not at least 1")


def _require_few(what: str, count: int) -> None:
    if count > MOST_TILES:
        raise TilingError(f"{what} would have {count:,} tiles; at most {MOST_TILES:,} of an image are cut")
