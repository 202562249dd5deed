"""Where the tiles of an image lie. Geometry only: no pixels, no files."""

import re
from dataclasses import dataclass

from modeling.errors import TilingError


@dataclass(frozen=True)
class Tile:
    """A rectangle of the upright image in pixels; right and lower edge are exclusive."""

    index: int  # row by row from the top left
    row: int
    column: int
    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Grid:
    """An image cut into ``rows`` x ``cols`` tiles that cover it exactly; 1 x 1 is the whole image."""

    rows: int
    cols: int

    @property
    def scheme_id(self) -> str:
        """The tiling as text, as tables and options name it."""
        return "whole" if self.rows == self.cols == 1 else f"grid-{self.rows}x{self.cols}"

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
        # Integer edges, not a fixed tile size: the remainder of the division is spread over the tiles, so that no
        # strip of pixels is left unseen.
        xs = [width * col // self.cols for col in range(self.cols + 1)]
        ys = [height * row // self.rows for row in range(self.rows + 1)]
        return [
            Tile(row * self.cols + col, row, col, xs[col], ys[row], xs[col + 1], ys[row + 1])
            for row in range(self.rows)
            for col in range(self.cols)
        ]


def parse(scheme_id: str) -> Grid:
    """Return the scheme that a text names: ``whole`` or ``grid-RxC``.

    Raises:
        TilingError: If it names none.
    """
    if scheme_id == "whole":
        return Grid(1, 1)
    match = re.fullmatch(r"grid-([1-9]\d{0,2})x([1-9]\d{0,2})", scheme_id)
    if match is None:
        raise TilingError(f"there is no tiling {scheme_id!r}; say 'whole' or 'grid-ROWSxCOLS', such as grid-4x4")
    return Grid(int(match[1]), int(match[2]))
