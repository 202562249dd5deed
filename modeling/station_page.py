"""A whole place as one HTML document: values in, text out. Knows no table, writes no file.

Like the page of an evaluation it holds all that it shows, refers to nothing outside itself and runs no script.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Template

from modeling.report import Figure, shown, template

_PAGE = Path(__file__).parent / "station_page.html"


@dataclass(frozen=True)
class Cell:
    """What stands in a place of a table."""

    text: str
    share: float | None = None  # 0 to 1: drawn as a bar beside it
    is_strong: bool = False


@dataclass(frozen=True)
class Grid:
    """A table; the first column names its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: frozenset[int] = frozenset()  # columns that are set to the right
    foot: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str  # letters
    title: str
    words: str = ""
    grids: Sequence[Grid] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class StationPage:
    """All that is said of a place."""

    title: str
    when: str
    headline: Sequence[tuple[str, str]]  # what, how many
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = field(default_factory=tuple)


def page(station: StationPage) -> str:
    """Return a place as one HTML document that refers to nothing outside itself and runs no script.

    Raises:
        ModelingError: If a figure is neither a PNG nor a JPEG that can be opened.
    """
    figures = {
        section.id: [(figure, shown(figure.title, figure.content)) for figure in section.figures]
        for section in station.sections
    }
    return _template().render(station=station, figures=figures)


@cache
def _template() -> Template:
    return template(_PAGE)
