"""The commands about submissions: ``taxalake submit`` and those under ``taxalake submission``."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import Asked, Home, Json

_DIALECTS = "plantclef2024|plantclef2025|plantclef2026|snakeclef"
Decision = Annotated[str, typer.Option(help="Id of the decision, or how it begins.")]
submission_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def submit(
    context: typer.Context,
    decision: Decision,
    dialect: Annotated[str, typer.Option(metavar=_DIALECTS, help="How the contest wants it (2026 as 2025).")],
    out: Annotated[Path | None, typer.Option(help="The file; else one in the home's submissions.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the answers of a decision into a file that a contest takes."""
    from flows.orchestration import run_flow
    from flows.submit import submit as stage

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, decision, dialect, out, asked.home))


@submission_app.command("check")
def submission_check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A submission, one's own or a stranger's.")],
    dialect: Annotated[str | None, typer.Option(metavar=_DIALECTS, help="Else that of its header.")] = None,
    decision: Annotated[str | None, typer.Option(help="Whose observations it has to answer.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose observations it has to answer.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find all that a contest would refuse, line by line. Ends with 1 if there is anything."""
    from flows.submit import check as look

    asked = Asked(context, home, as_json)
    report = look(asked.place(), file, dialect, decision, dataset)
    asked.print(report)
    raise SystemExit(0 if report.is_accepted else 1)


@submission_app.command("compare")
def submission_compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="A file, or the id of a decision, or how it begins.")],
    second: Annotated[str, typer.Argument(help="The same.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show how two submissions differ, observation by observation and species by species."""
    from flows.submit import compare as look

    asked = Asked(context, home, as_json)
    asked.print(look(asked.place(), first, second))


@submission_app.command("score")
def submission_score(
    context: typer.Context,
    decision: Decision,
    metric: Annotated[str, typer.Option(help="As the contest calls it.")],
    value: Annotated[float, typer.Option(help="As the contest gives it.")],
    source: Annotated[str, typer.Option(help="Who says so.")] = "kaggle",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Enter the official score of a decision; a later one of the same metric holds."""
    from flows.orchestration import run_flow
    from flows.submit import score as stage

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, decision, metric, value, source, asked.home))


@submission_app.command("scores")
def submission_scores(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Show own scores beside official ones, and how far they order decisions alike."""
    from flows.submit import scores as look

    asked = Asked(context, home, as_json)
    asked.print(look(asked.place()))
