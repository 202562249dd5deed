"""What Prefect's pages show of a flow run: its report as words and as a table, and figures.

Words of a report hold names from outside. They are shown, and never read as markup.
"""

import base64
import html
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

import httpx
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from rich.console import Console

from flows import settings
from flows.server import running_station
from lake.text import plain

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_FIGURES = 2  # of a flow run: each is sent to the server and kept in its database
MOST_FIGURE_BYTES = 1_000_000
_MOST_ROWS = 200
_MOST_SIGNS = 300
_COLUMNS = 110  # of what stands in columns
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@/=])")


class Told(Protocol):
    """A report of a stage."""

    def lines(self) -> list[Any]:
        """The report for people."""


def show_report(report: "Told | BaseModel") -> None:
    """Leave a report with the flow run: what it says, with links, and its numbers as a table.

    What cannot be shown stops nothing: the work is done.
    """
    context = FlowRunContext.get()
    if context is None or context.flow is None:
        return
    name = str(context.flow.name)
    facts: dict[str, Any] = report.model_dump(mode="json") if hasattr(report, "model_dump") else {}
    subject = next((facts[field] for field in ("dataset", "model", "name") if isinstance(facts.get(field), str)), "")
    words = "\n\n".join([*paragraphs(report.lines()), *_links(facts, context.parameters or {})])  # type: ignore[union-attr]
    _tolerant(create_markdown_artifact, words, key=key(name, subject), description=f"What {name} says.")
    rows = list(numbers(facts))
    # Stages look for work every few minutes; one that has found none has counted nothing.
    if rows and facts.get("committed", True):
        _tolerant(create_table_artifact, rows, key=key(name, subject, "counts"), description=f"What {name} counts.")


def show_figures(figures: Iterable[Path], *subject: str) -> None:
    """Leave the first figures with the flow run, those that are small; the others are in the home and in MLflow."""
    shown = [figure for figure in figures if figure.stat().st_size <= MOST_FIGURE_BYTES]
    for figure in shown[:MOST_FIGURES]:
        about = " ".join([*subject, figure.stem])
        _tolerant(create_image_artifact, as_data(figure), key=key(*subject, figure.stem), description=about)


def show_table(rows: Sequence[Mapping[str, Any]], description: str, *subject: str) -> None:
    """Leave rows with the flow run."""
    _tolerant(create_table_artifact, [_shown(row) for row in rows[:_MOST_ROWS]], key(*subject), description)


def key(*parts: str) -> str:
    """Return what an artifact is found by: small letters, digits and dashes; what is said again is not repeated."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") or "taxalake"


def as_data(figure: Path) -> str:
    """Return a figure as an address that holds it whole: the server may see no file of this place."""
    return f"data:image/png;base64,{base64.b64encode(figure.read_bytes()).decode()}"


def harmless(text: str) -> str:
    """Return words from outside as markdown that shows them and does nothing: no markup, no link, no HTML."""
    return _MARKUP.sub(r"\\\1", html.escape(plain(text), quote=False))


def paragraphs(lines: Iterable[Any]) -> Iterator[str]:
    """Yield the lines of a report as markdown; those that stand in columns keep their places."""
    columns: list[str] = []
    for line in lines:
        if isinstance(line, str) and not line.startswith(" "):
            yield from _block(columns)
            columns = []
            if line.strip():
                yield harmless(line)
        else:
            columns += [line] if isinstance(line, str) else _drawn(line)
    yield from _block(columns)


def numbers(facts: Mapping[str, Any], of: str = "") -> Iterator[dict[str, Any]]:
    """Yield the scalar fields of a report as rows: what, value; those of its parts under PART.FIELD."""
    for name, value in facts.items():
        what = f"{of}{name}"
        if isinstance(value, Mapping):
            yield from numbers(value, f"{what}.")
        elif isinstance(value, str | int | float) and value != "":
            yield _shown({"what": what, "value": value})


def _block(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines as they stand, between fences that none of them can close."""
    if lines:
        text = "\n".join(plain(line) for line in lines)
        fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=2))
        yield f"{fence}text\n{text}\n{fence}"


def _drawn(shape: Any) -> list[str]:
    """Return what a terminal would show of a table."""
    console = Console(width=_COLUMNS, no_color=True, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(shape)
    return captured.get().splitlines()


def _links(facts: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield where there is more to see: the MLflow run, and the page that was written."""
    run_id, page = (facts.get(field) or "" for field in ("mlflow_run_id", "page"))
    address = _mlflow(parameters.get("home")) if run_id else None
    run_id = quote(run_id, safe="")
    if run_id:
        yield f"MLflow run {run_id}" if address is None else f"[The MLflow run]({address}/#/runs/{run_id})"
    if page:
        copy = f"{address}/get-artifact?path={quote(f'reports/{Path(page).name}', safe='')}&run_uuid={run_id}"
        yield f"The page: `{plain(page).replace('`', ' ')}`" + (
            f", and [its copy in MLflow]({copy})" if address is not None else ""
        )


def _mlflow(home: Any) -> str | None:
    """Return the address of MLflow's pages, where a server shows them."""
    place = settings.load(home=home)
    if address := place.mlflow_pages or place.tracking_uri:
        server = urlsplit(address)
        # Without a user and password: whoever sees the page has their own.
        host = server.netloc.rpartition("@")[2]
        return f"{server.scheme}://{host}{server.path.rstrip('/')}" if server.scheme in {"http", "https"} else None
    station = running_station(place.home)
    return None if station is None else station.mlflow.rstrip("/")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table artifact, whose cells and column names the pages read as markdown and HTML."""
    return {harmless(name): _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value[:_MOST_SIGNS])
    is_no_number = isinstance(value, float) and not math.isfinite(value)
    return None if is_no_number else value  # JSON knows no NaN


def _tolerant(create: Any, content: Any, key: str, description: str) -> None:
    try:
        create(content, key=key, description=harmless(description))
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("Prefect's pages could not be given %s: %s", key, error)
