"""The commands about what people look at, and what they say of it."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import Asked, Dataset, Home, Json, Model, Moved, RuleFile

labels_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def review(
    context: typer.Context,
    dataset: Dataset,
    model: Model,
    most: Annotated[int, typer.Option(help="How many observations a person looks at.")] = 100,
    rule: RuleFile = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find the observations that a person should look at: a table to fill in, and a page with photographs."""
    from flows import review as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.review, dataset, model, most, rule, backbone, asked.home))


@labels_app.command("import")
def labels_import(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="CSV with the columns observation_id, species_id, as a review gives.")],
    dataset: Dataset,
    source: Annotated[str, typer.Option(help="Who says so: a plain name.")] = "review",
    new_species: Annotated[
        bool, typer.Option("--new-species", help="Also take species that nothing is known of.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in labels that people have corrected; they replace those that the observations had."""
    from flows import labels as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.labels_import, table, dataset, source, new_species, asked.home))
