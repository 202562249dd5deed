"""The commands about who is champion."""

from typing import Annotated

import typer

from flows.cli_options import Asked, Backbone, Home, Json, ModelArgument

Reason = Annotated[str, typer.Option(help="Why, for those who ask later.")]


def retrain(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option(help="The data set [that which each model has learnt from].")] = None,
    name: Annotated[
        str | None, typer.Option(help="The registered model's name [all that have learnt from the data set].")
    ] = None,
    backbone: Backbone = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where too little has changed.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train where enough has changed; the new version becomes champion only if it is better."""
    from flows import retrain as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.retrain, dataset, name, backbone, asked.home, anyway))


def promote(
    context: typer.Context,
    model: ModelArgument,
    reason: Reason = "by hand",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a version champion, whatever the retraining said of it."""
    from flows import promote as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.promote, model, asked.home, reason))


def rollback(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="The registered model's name, or NAME/VERSION of the champion that is left."
        ),
    ],
    reason: Reason = "by hand",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give a model's name back to the version that the champion has replaced."""
    from flows import promote as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.rollback, name, asked.home, reason))
