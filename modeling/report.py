"""One evaluation as one HTML document: values in, text out. Knows no table, writes no file.

What is shown is decided by others. The document holds all that it shows, so that it can be sent, kept and printed; what
comes from outside (names, titles, facts) is text in it and never markup.
"""

import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from modeling.errors import ModelingError

MOST_SPECIES = 200  # rows: beyond, nobody reads, and a browser is slow
MOST_PARTS = 24  # of a kind of slices
LEAST_MARKED = 10  # observations: of fewer no part is called better or worse
_Z = 1.959964  # of a normal distribution 95 of 100 lie within so many deviations
_PAGE, _LOOK = (Path(__file__).parent / f"report_page.{kind}" for kind in ("html", "css"))
_MISSING = "–"
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}  # formats that every browser shows and none runs


@dataclass(frozen=True)
class Score:
    """What a model reached in a metric. Resampled, 95 of 100 times it lies from low to high."""

    metric: str
    value: float
    low: float | None  # None: nothing can be resampled
    high: float | None
    chance: float | None  # what blind answers of the same sizes reach; None: not known


@dataclass(frozen=True)
class Baseline:
    """What somebody reaches who never looks at a photograph."""

    name: str
    values: Mapping[str, float]  # by metric


@dataclass(frozen=True)
class SliceScore:
    """What a model reached in a metric on a part of the observations."""

    kind: str  # what they were parted by: site, month, organ
    part: str  # which of its values these observations have
    metric: str
    value: float
    low: float | None
    high: float | None
    count: int  # observations


@dataclass(frozen=True)
class SpeciesScore:
    """How well a species was found."""

    species_id: str
    name: str
    support: int  # observations that are of it, or hold it
    precision: float | None  # None: it was never answered
    recall: float | None  # None: it was never there
    f1: float | None  # None: neither
    train_count: int  # observations in training
    confused_with: str | None  # the name of what it was taken for most often


@dataclass(frozen=True)
class Figure:
    """A drawing and what it shows."""

    title: str
    caption: str
    content: bytes  # PNG or JPEG


@dataclass(frozen=True)
class Picture:
    """A photograph, or a drawing of one, with the names of what stands there and of what was found."""

    title: str
    content: bytes  # PNG or JPEG
    truth: Sequence[str]  # empty where nobody knows
    found: Sequence[str]


@dataclass(frozen=True)
class EvaluationReport:
    """All that is said of one evaluation."""

    title: str  # which model, on which split of which data set
    facts: Sequence[tuple[str, str]]  # how it was made: names and values, as they are to be read
    headline: Sequence[Score]  # the first is the one that counts
    without_looking: Sequence[Baseline] = ()
    slices: Sequence[SliceScore] = ()
    species: Sequence[SpeciesScore] = ()
    figures: Sequence[Figure] = ()
    pictures: Sequence[Picture] = ()
    not_drawn: Sequence[str] = ()  # why figures that one may look for are not there: sentences


@dataclass(frozen=True)
class Shown:
    """An image as an address that holds it."""

    address: str
    width: int
    height: int


def page(report: EvaluationReport) -> str:
    """Return a report as one HTML document that refers to nothing outside itself and runs no script.

    Raises:
        ModelingError: If an image is neither a PNG nor a JPEG that can be opened.
    """
    words = {
        "title": report.title,
        "facts": report.facts,
        "verdict": _verdict(report),
        "figures": [(one, shown(one.title, one.content)) for one in report.figures],
        "not_drawn": report.not_drawn,
        "pictures": [(one, shown(one.title, one.content), list(_names(one))) for one in report.pictures],
        "slices": list(_slice_tables(report)),
        "species": [(one, _bar(_known(one.f1))) for one in sorted(report.species, key=_worst_first)[:MOST_SPECIES]],
        "species_count": len(report.species),
        "least_marked": LEAST_MARKED,
    }
    return _template().render(words)


@dataclass(frozen=True)
class _Bar:
    """A score on the way from 0 to 1; places are percent of the way."""

    value: float
    low: float
    width: float  # of the interval; 0: there is none
    beside: Sequence[float]  # what the score is held against


@dataclass(frozen=True)
class _Row:
    name: str
    value: float
    interval: str | None
    bar: _Bar | None  # None: the score is no share
    beside: Sequence[tuple[str, float | None]] = ()  # of the verdict: who else, and what they reach
    count: int = 0  # of a part: observations
    side: str = ""  # of a part: below or above all observations, by more than chance explains


@dataclass(frozen=True)
class _Table:
    title: str
    rows: Sequence[_Row]
    left_out: int = 0
    whole: float | None = None  # the score of all observations


def _verdict(report: EvaluationReport) -> _Table:
    has_chance = any(score.chance is not None for score in report.headline)
    rows = []
    for score in report.headline:
        beside = [("chance", score.chance)] if has_chance else []
        beside += [(one.name, one.values.get(score.metric)) for one in report.without_looking]
        bar = _bar(score.value, score.low, score.high, [value for _, value in beside])
        rows.append(_Row(score.metric, score.value, _interval(score.low, score.high), bar, beside))
    return _Table("verdict", rows)


def _slice_tables(report: EvaluationReport) -> Iterator[_Table]:
    """Yield a table for each kind and metric, in the order in which they come."""
    wholes = {score.metric: score.value for score in report.headline}
    parts: dict[tuple[str, str], list[SliceScore]] = {}
    for one in report.slices:
        parts.setdefault((one.kind, one.metric), []).append(one)
    for (kind, metric), scores in parts.items():
        # The largest say most; they stay in the order in which they came, which may be that of the months.
        largest = sorted(range(len(scores)), key=lambda place: (-scores[place].count, place))[:MOST_PARTS]
        whole = wholes.get(metric)
        rows = [_slice_row(scores[place], whole) for place in sorted(largest)]
        yield _Table(f"{metric} by {kind}", rows, len(scores) - len(rows), whole)


def _slice_row(score: SliceScore, whole: float | None) -> _Row:
    bar = _bar(score.value, score.low, score.high, [whole])
    side = _side(score, whole)
    return _Row(score.part, score.value, _interval(score.low, score.high), bar, count=score.count, side=side)


def _side(score: SliceScore, whole: float | None) -> str:
    """Say whether a part lies below or above all observations by more than chance explains.

    Few observations that are all right look the same in every resample. So the score of all has to lie beside the
    interval of Wilson (1927), too, of a share in as many observations: of means of what lies in 0 to 1 none scatters
    more than a share.
    """
    if whole is None or score.low is None or score.high is None or score.count < LEAST_MARKED:
        return ""
    low, high = score.low, score.high
    if 0 <= score.value <= 1:
        squared = _Z**2 / score.count
        middle = (score.value + squared / 2) / (1 + squared)
        half = math.sqrt(score.value * (1 - score.value) * squared + squared**2 / 4) / (1 + squared)
        low, high = min(low, middle - half), max(high, middle + half)
    return "below" if high < whole else "above" if low > whole else ""


def _bar(
    value: float, low: float | None = None, high: float | None = None, beside: Sequence[float | None] = ()
) -> _Bar | None:
    if not 0 <= value <= 1:
        return None
    start, end = max(_known(low), 0.0), min(_known(high), 1.0)
    width = end - start if end > start else 0.0
    shares = [100 * one for one in beside if one is not None and 0 <= one <= 1]
    return _Bar(100 * value, 100 * start if width else 0.0, 100 * width, shares)


def _interval(low: float | None, high: float | None) -> str | None:
    return None if math.isnan(_known(low) + _known(high)) else f"{_number(low)}–{_number(high)}"


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _worst_first(score: SpeciesScore) -> tuple[float, int, str, str]:
    """Return a key under which the lowest F1 comes first, and of equal ones what was there most often."""
    f1 = _known(score.f1)
    return math.inf if math.isnan(f1) else f1, -score.support, score.name, score.species_id


def _names(picture: Picture) -> Iterator[tuple[str, str]]:
    """Yield each name with what it is: found where nobody knows, else right, wrong or missed."""
    for name in picture.found:
        yield name, "found" if not picture.truth else "right" if name in picture.truth else "wrong"
    for name in picture.truth:
        if name not in picture.found:
            yield name, "missed"


def shown(title: str, content: bytes) -> Shown:
    """Return an image as a document holds it.

    Raises:
        ModelingError: If it is neither a PNG nor a JPEG that can be opened.
    """
    try:
        with Image.open(BytesIO(content), formats=list(_MEDIA_TYPES)) as image:
            media_type, (width, height) = _MEDIA_TYPES[str(image.format)], image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise ModelingError(
            f"the image {title!r} of {len(content):,} bytes is to be shown, and is no PNG or JPEG that can be opened; "
            f"draw it, or leave it out"
        ) from error
    return Shown(f"data:{media_type};base64,{b64encode(content).decode()}", width, height)


def _number(value: float | None) -> str:
    """Return a score as people read it: four places of a share, two of what is no share."""
    if value is None or math.isnan(value):
        return _MISSING
    # Beyond this a number of places would only look exact.
    words = f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
    return words.replace("-", "−")


@cache
def _template() -> Template:
    return template(_PAGE)


def template(file: Path) -> Template:
    """Return the template of a document in the look of all reports; what is filled in is text and never markup."""
    # An undefined name is an error and not an empty place in a report.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.globals["look"] = Markup(_LOOK.read_text("utf-8"))
    return environment.from_string(file.read_text("utf-8"))
