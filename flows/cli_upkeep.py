"""The commands about a place as a whole: its upkeep, and what there is to see of it."""

from typing import Annotated

import typer

from flows.cli_options import Asked, Home, Json


def maintain(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    keep_days: Annotated[int, typer.Option(min=1, help="For how many days every version stays readable.")] = 7,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Merge small files of tables and remove what neither a young version nor a registered model needs."""
    from flows.maintain import maintain as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, keep_days, dry_run, asked.home))


def report(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Write a page about the whole place: data sets, models, decisions, costs and room."""
    from flows.orchestration import run_flow
    from flows.station_report import station_report as stage

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, asked.home))
