"""The command ``taxalake``. Imports what a command needs inside of it: ``--help`` answers at once."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import flows  # noqa: F401  sets the libraries' switches before any of them is imported
from lake.text import plain

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.settings import Settings

LINES = "\n\t"  # what a message may hold beside letters
app = typer.Typer(
    name="taxalake",
    help="Names species in photographs: ingest, embed, train, predict, evaluate, retrain.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ingest_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ingest_app, name="ingest", help="Take photographs into the lake.")
audit_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_app, name="audit", help="Look for what would make scores lie.")

Dataset = Annotated[str, typer.Option(help="The data set.")]
Model = Annotated[str, typer.Option(metavar="MODEL[@alias]", help="NAME (its champion), NAME@alias or NAME/VERSION.")]
_SCHEMES = "whole|grid-RxC|pyramid-PX-A..B|window-PX-sS-bB|boxes-NAME"
Tiling = Annotated[str | None, typer.Option(metavar=_SCHEMES, help="How photographs are cut.")]
Backbone = Annotated[str | None, typer.Option(help="Hub name or folder of the backbone.")]
Moved = Annotated[str | None, typer.Option(help="Where the model's backbone is now, if not where it was in training.")]
Species = Annotated[str | None, typer.Option(metavar="one|many", help="Species in an observation.")]
Votes = Annotated[int | None, typer.Option(help="Tiles that have to agree on a species of a quadrat.")]
Probability = Annotated[float | None, typer.Option(help="Under which (0 to 1) a tile does not vote.")]
Empty = Annotated[bool | None, typer.Option(help="Whether a quadrat may be answered with no species.")]
Root = Annotated[Path | None, typer.Option(help="Folder, .tar or .zip of the photographs; those it lacks are fetched.")]
Beside = Annotated[Path | None, typer.Option(help="Folder, .tar or .zip where its paths begin; else its own.")]
MaxLoss = Annotated[float | None, typer.Option(help="Share (0 to 1) of new photographs that may be set aside [0.01].")]
Reread = Annotated[bool, typer.Option("--reread", help="Read files again whose size and time are known.")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Also out of the folder.")]
Home = Annotated[
    Path | None,
    typer.Option(help="Holds tables, registry and pictures. [env: TAXALAKE_HOME; default: ./taxalake-home]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.callback()
def root(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Names species in photographs: ingest, embed, train, predict, evaluate, retrain."""
    context.obj = {"home": home, "json": as_json}


@app.command()
def demo(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Draw a small flora and run everything on it. Needs no network, no data and no weights."""
    asked = _Asked(context, home, as_json)
    _keep_prefect_in(asked.place().home)
    from flows.demo import demo as stage
    from flows.orchestration import run_recorded

    asked.print(run_recorded(stage, asked.home))


@ingest_app.command("folder")
def ingest_folder(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="A folder, .tar or .zip whose sub-folders are species.")],
    dataset: Dataset,
    split_tag: Annotated[str | None, typer.Option(metavar="train|val|test", help="For all its photographs.")] = None,
    follow_links: FollowLinks = False,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in a folder whose sub-folders are species; what lies in the folder itself has no label."""
    from flows.ingest import ingest_folder as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, directory, dataset, split_tag, follow_links, max_loss, reread, asked.home))


@ingest_app.command("table")
def ingest_table(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="A CSV table with one row per photograph.")],
    dataset: Dataset,
    image_column: Annotated[str | None, typer.Option(help="Paths of the photographs.")] = None,
    species_column: Annotated[str | None, typer.Option(help="Species ids; without it nothing is labelled.")] = None,
    observation_column: Annotated[str | None, typer.Option(help="What was seen; else each photograph.")] = None,
    split_column: Annotated[str | None, typer.Option(help="train, val or test.")] = None,
    name_column: Annotated[str | None, typer.Option(help="Scientific names.")] = None,
    species_separator: Annotated[str | None, typer.Option(help="Between the species of a quadrat.")] = None,
    url_column: Annotated[str | None, typer.Option(help="Addresses of the photographs that have no file.")] = None,
    root: Beside = None,
    delimiter: Annotated[str | None, typer.Option(help="Between columns; else found by the header.")] = None,
    encoding: Annotated[str, typer.Option(help="Of its text: latin-1, utf-16, ...")] = "utf-8",
    images_by_name: Annotated[bool, typer.Option(help="Find files by their names, in whatever folder.")] = False,
    follow_links: FollowLinks = False,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in a CSV table with named columns and the photographs that it names."""
    from flows.ingest import ingest_table as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    report = run_flow(
        stage,
        csv,
        dataset,
        image_column,
        species_column,
        observation_column,
        split_column,
        name_column,
        species_separator,
        url_column,
        root,
        delimiter,
        encoding,
        images_by_name,
        follow_links,
        max_loss,
        reread,
        asked.home,
    )
    asked.print(report)


@ingest_app.command("plantclef")
def ingest_plantclef(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="The table of single plants (PlantCLEF2024singleplant...csv).")],
    dataset: Dataset,
    root: Root = None,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in PlantCLEF's single plants; files are found by their names, in whatever folder."""
    from flows.ingest import ingest_plantclef as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, dataset, root, max_loss, reread, asked.home))


@ingest_app.command("plantclef-quadrats")
def ingest_plantclef_quadrats(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder, .tar or .zip of the quadrats.")],
    dataset: Dataset,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in PlantCLEF's quadrats; day, base quadrat and transect are read from their names."""
    from flows.ingest import ingest_plantclef_quadrats as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, directory, dataset, max_loss, reread, asked.home))


@ingest_app.command("snakeclef")
def ingest_snakeclef(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="A training table or the validation table.")],
    dataset: Dataset,
    root: Beside = None,
    venomous: Annotated[Path | None, typer.Option(help="venomous_status_list.csv")] = None,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in one of SnakeCLEF's tables."""
    from flows.ingest import ingest_snakeclef as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, dataset, root, venomous, max_loss, reread, asked.home))


@ingest_app.command("inaturalist")
def ingest_inaturalist(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="An export of observations.")],
    dataset: Dataset,
    root: Root = None,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in an export of iNaturalist's observations."""
    from flows.ingest import ingest_inaturalist as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, dataset, root, max_loss, reread, asked.home))


@ingest_app.command("darwincore")
def ingest_darwincore(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(help="A Darwin Core Archive: the .zip, or its unpacked folder.")],
    dataset: Dataset,
    root: Root = None,
    max_loss: MaxLoss = None,
    reread: Reread = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in a Darwin Core Archive, as GBIF gives it."""
    from flows.ingest import ingest_darwincore as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, archive, dataset, root, max_loss, reread, asked.home))


@ingest_app.command("retry")
def ingest_retry(
    context: typer.Context,
    dataset: Dataset,
    kind: Annotated[list[str] | None, typer.Option(help="Why it was set aside; may be said several times.")] = None,
    max_loss: MaxLoss = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take up what was set aside: read it again from where it came from."""
    from flows.ingest import ingest_retry as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, dataset, kind, max_loss, asked.home))


@ingest_app.command("taxon-changes")
def ingest_taxon_changes(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="A table with the columns old_species_id, new_species_id, kind.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in what was renamed, merged or split: later training and scoring go by it."""
    from flows.orchestration import run_flow
    from flows.taxonomy import ingest_taxon_changes as stage

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, asked.home))


@ingest_app.command("boxes")
def ingest_boxes(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="A table with the columns image_name, x0, y0, x1, y1, perhaps score.")],
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="Of the boxes: they are embedded with --tiling boxes-NAME.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take in boxes of photographs on record, as a detector or a segmenter proposes them."""
    from flows.boxes import boxes as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, dataset, name, asked.home))


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

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage, dataset, split_by, asked.home))


@app.command()
def embed(
    context: typer.Context,
    dataset: Dataset,
    backbone: Backbone = None,
    tiling: Annotated[
        list[str] | None, typer.Option(metavar=_SCHEMES, help="How photographs are cut; may be said several times.")
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

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage.embed, dataset, backbone, tiling, dtype, jpeg_round_trip, asked.home))


@app.command()
def train(
    context: typer.Context,
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="The registered model's name.")],
    backbone: Backbone = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train a head and register it; the first version of a model becomes its champion."""
    from flows import train as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage.train, dataset, name, backbone, asked.home))


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

    asked = _Asked(context, home, as_json)
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
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Answer every observation of a data set."""
    from flows import predict as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    report = run_flow(
        stage.predict, dataset, model, tiling, species, min_votes, min_probability, allow_empty, backbone, asked.home
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
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Score a model on the test split, else on val, else on everything that is labelled."""
    from flows import evaluate as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    report = run_flow(
        stage.evaluate, dataset, model, tiling, species, min_votes, min_probability, allow_empty, backbone, asked.home
    )
    asked.print(report)


@app.command()
def retrain(
    context: typer.Context,
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="The registered model's name.")],
    backbone: Backbone = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train on all that is there; the new version becomes champion only if it is better."""
    from flows import retrain as stage
    from flows.orchestration import run_flow

    asked = _Asked(context, home, as_json)
    asked.print(run_flow(stage.retrain, dataset, name, backbone, asked.home))


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
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Name the species of photographs at hand."""
    from flows.identify import identify as stage

    asked = _Asked(context, home, as_json)
    place = asked.place(tiling=tiling, min_votes=min_votes, min_probability=min_probability, allow_empty=allow_empty)
    asked.print(stage(images, model, place, species, together, backbone))


@app.command()
def status(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Show tables, data sets, what is pending, and models."""
    from flows.status import status as look

    asked = _Asked(context, home, as_json)
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

    asked = _Asked(context, home, as_json)
    asked.print(ask(asked.place(), question))


def main() -> None:
    """Run the command; what a user can mend is one message, not a traceback."""
    try:
        app()
    except Exception as error:
        if not isinstance(error, _foreseen()):
            raise
        sys.stderr.write(f"taxalake: {plain(str(error), kept=LINES)}\n")
        raise SystemExit(1) from None


class _Asked:
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


def _keep_prefect_in(home: Path) -> None:
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


def _foreseen() -> tuple[type[Exception], ...]:
    """Return the errors whose message is meant for users; asked for only when one was raised."""
    from flows.settings import SettingsError
    from lake.errors import LakeError
    from modeling.errors import ModelingError

    return SettingsError, LakeError, ModelingError


if __name__ == "__main__":
    main()
