"""The commands about the station: the servers of a place and what is deployed there."""

import sys
from typing import Annotated

import typer

from flows.cli_options import Asked, Home, Json


def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Where to listen. Others than the loopback need credentials.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of Prefect's pages.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Of MLflow's pages.")] = 5000,
    postgres: Annotated[
        str | None,
        typer.Option(metavar="URL", help="PostgreSQL for both databases; remembered. [env: TAXALAKE_POSTGRES]"),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="By which browsers call this machine, beside its own name.")
    ] = None,
    watch_seconds: Annotated[int | None, typer.Option(min=5, help="Between two looks at all sources.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Run Prefect, MLflow and a worker, deploy everything, and watch over them until Ctrl-C.

    Credentials are USER:PASSWORD in TAXALAKE_STATION_AUTH or in the file station.auth of the home (mode 0600).
    """
    from rich.console import Console

    from flows import station
    from flows.doors import Doors

    asked = Asked(context, home, as_json)
    place = asked.place(postgres=postgres, watch_seconds=watch_seconds)

    def when_up(report: station.ServeReport) -> None:
        asked.print(report)
        sys.stdout.flush()  # who waits for it reads a pipe

    console = Console(stderr=True, highlight=False)
    station.serve(
        place,
        Doors(host, port, mlflow_port, tuple(allow_host or ())),
        lambda line: console.print(line, markup=False, soft_wrap=True, style="dim"),
        when_up,
    )


def deploy(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Make a Prefect server that `serve` has not begun ready: work pool, deployments, limits, automations."""
    from flows.deploy import deploy as make_ready

    asked = Asked(context, home, as_json)
    asked.print(make_ready(asked.place()))
