"""The commands under ``taxalake ingest``: one for each kind of source."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import Asked, Beside, Dataset, FollowLinks, Home, Json, MaxLoss, Reread, Root

ingest_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
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

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage, csv, dataset, name, asked.home))
