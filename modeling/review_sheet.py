"""Observations that a person should look at, as one HTML document: values in, text out. Knows no table, writes no file.

The document holds all that it shows and asks no network. What comes from outside (names, ids, reasons) is text in it
and never markup; the one script that runs is its own, which the browser is told by its hash. The table that it saves
it makes from what is typed in and from cells that were made by others.
"""

import hashlib
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

MOST = 100  # observations on a page: more photographs make a browser slow
_HERE = Path(__file__).parent
_PAGE, _LOOK, _SCRIPT = (_HERE / f"review_sheet.{kind}" for kind in ("html", "css", "js"))
_SHARED_LOOK = _HERE / "report_page.css"


@dataclass(frozen=True)
class Candidate:
    """A species that may be right."""

    species_id: str
    name: str
    probability: float | None
    is_answer: bool


@dataclass(frozen=True)
class Observation:
    """One observation to look at."""

    observation_id: str
    photographs: Sequence[tuple[str, bytes, int, int]]  # name, JPEG, width and height in pixels
    photograph_count: int  # of all that there are
    candidates: Sequence[Candidate]  # answers first
    reasons: Sequence[tuple[str, str]]  # a word for all of a kind, and what is so here
    cells: Sequence[str]  # of its row in the table, before those that are filled in


@dataclass(frozen=True)
class Sheet:
    """All that is shown and asked."""

    title: str
    review_id: str
    table_hash: str  # of the file as it was written: who has changed it is known by it
    file_name: str  # of the table that is saved
    columns: Sequence[str]  # of the table: those of the cells, then species, reviewer, note
    separator: str  # between the species of one observation
    observations: Sequence[Observation]
    left_out: int  # observations that stand in the table alone
    takes_several: bool  # whether an observation may hold several species
    species: Sequence[tuple[str, str]]  # id and name of all that are known


def page(sheet: Sheet) -> str:
    """Return a sheet as one HTML document that refers to nothing outside itself."""
    counts = Counter(kind for one in sheet.observations for kind, _ in one.reasons)
    return _template().render(
        sheet=sheet,
        reasons=[(kind, kind.replace("_", " "), count) for kind, count in sorted(counts.items())],
        header=json.dumps(list(sheet.columns)),
        shown=[
            (one, json.dumps(list(one.cells)), [_address(*picture) for picture in one.photographs])
            for one in sheet.observations
        ],
    )


def _address(name: str, content: bytes, width: int, height: int) -> tuple[str, str, int, int]:
    return name, f"data:image/jpeg;base64,{b64encode(content).decode()}", width, height


@cache
def _template() -> Template:
    # An undefined name is an error and not an empty place in a page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script = _SCRIPT.read_text("utf-8")
    environment.globals |= {
        "look": Markup(_SHARED_LOOK.read_text("utf-8") + _LOOK.read_text("utf-8")),
        "script": Markup(script),
        # Of what stands between the tags, to the sign.
        "script_hash": b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    }
    return environment.from_string(_PAGE.read_text("utf-8"))
