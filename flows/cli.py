"""The command ``taxalake``. Imports what a command needs inside of it: ``--help`` answers at once."""

import atexit
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import flows  # noqa: F401  sets the libraries' switches before any of them is imported
from flows import cli_champion, cli_review, cli_rules, cli_station, cli_submission, cli_upkeep
from flows.cli_ingest import ingest_app
from flows.cli_options import (
    LINES,
    SCHEMES,
    Asked,
    Backbone,
    Dataset,
    Empty,
    Home,
    Json,
    Model,
    ModelArgument,
    Moved,
    Probability,
    RecipeFile,
    RuleFile,
    Species,
    Tiling,
    Votes,
    keep_prefect_in,
)
from lake.text import plain

app = typer.Typer(
    name="taxalake",
    help="Names species in photographs: ingest, embed, train, predict, evaluate, retrain.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(ingest_app, name="ingest", help="Take photographs into the lake.")
app.add_typer(cli_review.labels_app, name="labels", help="Take in what people say of photographs on record.")
app.add_typer(cli_submission.submission_app, name="submission", help="Check, compare and score files for contests.")
audit_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_app, name="audit", help="Look for what would make scores lie.")


@app.callback()
def root(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Names species in photographs: ingest, embed, train, predict, evaluate, retrain."""
    context.obj = {"home": home, "json": as_json}


@app.command()
def demo(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Draw a small flora and run everything on it. Needs no network, no data and no weights."""
    asked = Asked(context, home, as_json)
    keep_prefect_in(asked.place().home)
    from flows.demo import demo as stage
    from flows.orchestration import run_recorded

    asked.print(run_recorded(stage, asked.home))


@audit_app.command("leakage")
def audit_leakage(
    context: typer.Context,
    dataset: Dataset,
    split_by: Annotated[str | None, typer.Option(metavar="observation|author|base_quadrat|near_duplicate")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find photographs that stand on both sides of the split."""
    from flows.audit import audit_leakage as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, dataset, split_by, asked.home))


@app.command()
def embed(
    context: typer.Context,
    dataset: Dataset,
    backbone: Backbone = None,
    tiling: Annotated[
        list[str] | None, typer.Option(metavar=SCHEMES, help="How photographs are cut; may be said several times.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(metavar="float32|bfloat16", help="Else what is fast here.")] = None,
    jpeg_round_trip: Annotated[
        str | None, typer.Option(metavar="QUALITY-4:2:2", help="Encode and decode each tile first.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Embed the images of a data set that have no vectors yet."""
    from flows import embed as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.embed, dataset, backbone, tiling, dtype, jpeg_round_trip, asked.home))


@app.command()
def watch(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option(help="The data set; else all.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in again whatever was ever taken in, and embed what is new."""
    from flows import watch as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.watch, dataset, asked.home))


@app.command()
def train(
    context: typer.Context,
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="The registered model's name.")],
    backbone: Backbone = None,
    recipe: RecipeFile = None,
    start_from: Annotated[
        str | None, typer.Option(metavar="MODEL[@alias]", help="Whose species keep the weights that they have.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train a head and register it; the first version of a model becomes its champion."""
    from flows import train as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.train, dataset, name, backbone, asked.home, recipe, start_from))


@app.command()
def ablate(
    context: typer.Context,
    matrix: Annotated[Path, typer.Argument(help="TOML: the choices to combine.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train every combination of some choices on ready embeddings and say which differences are real."""
    from flows import ablate as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.ablate, matrix, asked.home))


@app.command()
def lineage(context: typer.Context, model: ModelArgument, home: Home = None, as_json: Json = False) -> None:
    """Show everything that a model was made from."""
    from flows.lineage import lineage as look

    asked = Asked(context, home, as_json)
    asked.print(look(asked.place(), model))


@app.command()
def replay(context: typer.Context, model: ModelArgument, home: Home = None, as_json: Json = False) -> None:
    """Make a model again from its recorded inputs and say whether it is the same. Ends with 1 if it is not."""
    from flows.lineage import replay as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    report = run_flow(stage, model, asked.home)
    asked.print(report)
    raise SystemExit(0 if report.is_same else 1)


@app.command("import-timm")
def import_timm(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="What timm has saved: .pth.tar, .pth or .safetensors.")],
    class_mapping: Annotated[Path, typer.Option(help="Line i, counted from 0: the species_id of class i.")],
    name: Annotated[str, typer.Option(help="The registered model's name.")],
    heads: Annotated[int | None, typer.Option(help="Attention heads in a block; else width / 64.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take over a vision transformer that was fine-tuned with timm, as a backbone and a registered model."""
    from flows.import_model import import_timm as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, checkpoint, class_mapping, name, asked.home, heads))


@app.command()
def predict(
    context: typer.Context,
    dataset: Dataset,
    model: Model,
    tiling: Tiling = None,
    species: Species = None,
    min_votes: Votes = None,
    min_probability: Probability = None,
    allow_empty: Empty = None,
    rule: RuleFile = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Answer every observation of a data set."""
    from flows import predict as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    report = run_flow(
        stage.predict,
        dataset,
        model,
        tiling,
        species,
        min_votes,
        min_probability,
        allow_empty,
        backbone,
        asked.home,
        rule=rule,
    )
    asked.print(report)


@app.command()
def evaluate(
    context: typer.Context,
    dataset: Dataset,
    model: Model,
    tiling: Tiling = None,
    species: Species = None,
    min_votes: Votes = None,
    min_probability: Probability = None,
    allow_empty: Empty = None,
    rule: RuleFile = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Score a model on the test split, else on val, else on everything that is labelled."""
    from flows import evaluate as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    report = run_flow(
        stage.evaluate,
        dataset,
        model,
        tiling,
        species,
        min_votes,
        min_probability,
        allow_empty,
        backbone,
        asked.home,
        rule=rule,
    )
    asked.print(report)


@app.command()
def identify(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photographs.")],
    model: Model,
    tiling: Tiling = None,
    species: Species = None,
    together: Annotated[bool, typer.Option(help="The photographs show one observation.")] = False,
    min_votes: Votes = None,
    min_probability: Probability = None,
    allow_empty: Empty = None,
    rule: RuleFile = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Name the species of photographs at hand."""
    from flows.identify import identify as stage
    from flows.predict import refuse_beside_rule

    asked = Asked(context, home, as_json)
    settings = {"min_votes": min_votes, "min_probability": min_probability, "allow_empty": allow_empty}
    refuse_beside_rule(rule, species, *settings.values())
    place = asked.place(tiling=tiling, **settings)
    asked.print(stage(images, model, place, species, together, backbone, rule, tiling))


@app.command()
def status(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Show tables, data sets, what is pending, and models."""
    from flows.status import status as look

    asked = Asked(context, home, as_json)
    asked.print(look(asked.place()))


@app.command()
def sql(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="A select over the tables by name.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Answer any question over the tables. Reads only: files, other tables and settings are out of reach."""
    from flows.answers import ask

    asked = Asked(context, home, as_json)
    asked.print(ask(asked.place(), question))


_OTHERS = (
    cli_champion.retrain,
    cli_champion.promote,
    cli_champion.rollback,
    cli_review.review,
    cli_rules.sweep,
    cli_rules.score,
    cli_rules.compare,
    cli_rules.ensemble,
    cli_rules.prior,
    cli_submission.submit,
    cli_upkeep.maintain,
    cli_upkeep.report,
    cli_station.serve,
    cli_station.deploy,
)
for _command in _OTHERS:
    app.command()(_command)


def main() -> None:
    """Run the command; what a user can mend is one message, not a traceback."""
    # Registered first, so that it runs last.
    atexit.register(_end_in_silence)
    try:
        app()
    except Exception as error:
        if not isinstance(error, _foreseen()):
            raise
        sys.stderr.write(f"taxalake: {plain(str(error), kept=LINES)}\n")
        raise SystemExit(1) from None


def _end_in_silence() -> None:
    """Let nobody read what DuckDB's binding says of itself while Python ends beside threads of Prefect: 40 lines."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _foreseen() -> tuple[type[Exception], ...]:
    """Return the errors whose message is meant for users; asked for only when one was raised."""
    from flows.databases import PostgresError
    from flows.server import CredentialsError
    from flows.settings import SettingsError
    from lake.errors import LakeError
    from modeling.errors import ModelingError

    return SettingsError, CredentialsError, PostgresError, LakeError, ModelingError


if __name__ == "__main__":
    main()
