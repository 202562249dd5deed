"""Any question over the tables, answered for people or as JSON."""

from collections import Counter
from typing import Any

from pydantic import BaseModel
from rich.table import Table as Grid
from rich.text import Text

from flows.settings import Settings
from lake import query
from lake.text import plain

_SHOWN = 50  # rows in a terminal; JSON holds all


class Answer(BaseModel):
    """The rows of an answer. Columns of one name are told apart by a number."""

    columns: list[str]
    rows: list[dict[str, Any]]

    def lines(self) -> list[Any]:
        """The answer for people: a table of its first rows."""
        shown = self.rows[:_SHOWN]
        rest = len(self.rows) - len(shown)
        return [grid(self.columns, shown), f"{len(self.rows)} rows{f', {rest} not shown' if rest else ''}"]


def ask(place: Settings, question: str) -> Answer:
    """Answer a question over the newest version of every table.

    Raises:
        QuestionError: If the engine refuses it.
    """
    found = query.ask(place.lake, question)
    seen: Counter[str] = Counter()
    columns = []
    for name in found.column_names:
        seen[name] += 1
        columns.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    rows = found.rename_columns(columns).to_pylist()
    return Answer(columns=columns, rows=[{key: _plain(value) for key, value in row.items()} for row in rows])


def grid(columns: list[str], rows: list[dict[str, Any]]) -> Grid:
    """Return rows as a table for a terminal."""
    drawn = Grid(box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(Text(column), overflow="fold")
    for row in rows:
        # As text: what stands in a table is no markup.
        drawn.add_row(*(Text(_text(row[column])) for column in columns))
    return drawn


def in_bytes(count: float) -> str:
    """Return a number of bytes as people read it: ``1.4 GB``, in powers of 1000 as disks are sold."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return plain(value, kept="\n\t")
    if isinstance(value, float):
        return f"{value:.6g}"
    # A vector would fill the screen.
    if isinstance(value, list) and len(value) > 4:
        return f"[{', '.join(_text(item) for item in value[:4])}, ... {len(value)} values]"
    return str(value)


def _plain(value: Any) -> Any:
    """Return a value that JSON knows; bytes are named by their length."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
