"""What the commands share: their options, how the settings are found, and how a report is printed."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.server import join_station
from lake.text import plain

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.settings import Settings

LINES = "\n\t"  # what a message may hold beside letters
Dataset = Annotated[str, typer.Option(help="The data set.")]
Model = Annotated[str, typer.Option(metavar="MODEL[@alias]", help="NAME (its champion), NAME@alias or NAME/VERSION.")]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL[@alias]", help="NAME (its champion), NAME@alias or NAME/VERSION.")
]
SCHEMES = "whole|grid-RxC|pyramid-PX-A..B|window-PX-sS-bB|boxes-NAME"
Tiling = Annotated[str | None, typer.Option(metavar=SCHEMES, help="How photographs are cut.")]
Backbone = Annotated[str | None, typer.Option(help="Hub name or folder of the backbone.")]
Moved = Annotated[str | None, typer.Option(help="Where the model's backbone is now, if not where it was in training.")]
Species = Annotated[str | None, typer.Option(metavar="one|many", help="Species in an observation.")]
Votes = Annotated[int | None, typer.Option(help="Tiles that have to agree on a species of a quadrat.")]
Probability = Annotated[float | None, typer.Option(help="Under which (0 to 1) a tile does not vote.")]
Empty = Annotated[bool | None, typer.Option(help="Whether a quadrat may be answered with no species.")]
RuleFile = Annotated[
    Path | None, typer.Option(help="TOML: how species are decided, in the place of species, votes and probability.")
]
Root = Annotated[Path | None, typer.Option(help="Folder, .tar or .zip of the photographs; those it lacks are fetched.")]
Beside = Annotated[Path | None, typer.Option(help="Folder, .tar or .zip where its paths begin; else its own.")]
MaxLoss = Annotated[float | None, typer.Option(help="Share (0 to 1) of new photographs that may be set aside [0.01].")]
Reread = Annotated[bool, typer.Option("--reread", help="Read files again whose size and time are known.")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Also out of the folder.")]
RecipeFile = Annotated[Path | None, typer.Option(help="TOML: head, objective, poolings and the rest.")]


def _at_its_station(context: typer.Context, home: Path | None) -> Path | None:
    """Let the command be recorded where a station of its home runs: here, before anything imports Prefect."""
    if context.parent is not None:
        given: dict[str, Any] = context.find_root().obj or {}
        join_station(home or given.get("home"))
    return home


Home = Annotated[
    Path | None,
    typer.Option(
        help="Holds tables, registry and pictures. [env: TAXALAKE_HOME; default: ./taxalake-home]",
        callback=_at_its_station,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


class Asked:
    """The options that every command takes, before or after its name."""

    def __init__(self, context: typer.Context, home: Path | None, as_json: bool) -> None:
        given: dict[str, Any] = context.find_root().obj
        self.home: Path | None = home or given["home"]
        self._json: bool = as_json or given["json"]

    def place(self, **overrides: Any) -> "Settings":
        """Read the settings."""
        from flows import settings

        return settings.load(home=self.home, **overrides)

    def print(self, report: "BaseModel") -> None:
        """Print a report: for people, or as one JSON document."""
        if self._json:
            sys.stdout.write(json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
            return
        from rich.console import Console

        lines: Callable[[], list[Any]] = report.lines  # type: ignore[attr-defined]
        console = Console(highlight=False)
        for line in lines():
            if isinstance(line, str):
                console.print(plain(line, kept=LINES), markup=False, soft_wrap=True)
            else:
                console.print(line)


def keep_prefect_in(home: Path) -> None:
    """Let a server that Prefect starts for one process live in the home, quietly. Before Prefect is imported."""
    from flows.server import server_configured

    if server_configured():
        return
    kept = home.resolve() / "prefect"
    kept.mkdir(parents=True, exist_ok=True)  # Prefect makes its home, but not what that lies in
    for name, value in {
        "PREFECT_HOME": str(kept),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }.items():
        os.environ.setdefault(name, value)
