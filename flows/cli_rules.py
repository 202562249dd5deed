"""The commands about what is decided, what it scores, and what is likely where."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import SCHEMES, Asked, Dataset, Home, Json, Model, Moved

KINDS = "country|month|cluster|mask|taxonomy"
Stored = Annotated[str, typer.Argument(metavar="DECISION", help="Its id, or how it begins.")]


def sweep(
    context: typer.Context,
    rules: Annotated[Path, typer.Argument(help="TOML: the decision rules to combine.")],
    dataset: Dataset,
    model: Model,
    metric: Annotated[
        str | None, typer.Option(help="That the best is chosen by [macro_f1_per_observation or macro_f1].")
    ] = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Try every combination of some decision rules on stored predictions and write the best one as a rule file."""
    from flows import sweep as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.sweep, rules, dataset, model, asked.home, metric, None, backbone))


def score(
    context: typer.Context,
    decision: Stored,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE@VERSION", help="labels, species, taxon_changes as they were; else as they are."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Score a stored decision again, under the labels of today or of another day."""
    from flows import scores as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.score, decision, asked.home, stage.versions(at or [])))


def compare(
    context: typer.Context,
    first: Stored,
    second: Stored,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say whether the second decision is better than the first by more than chance."""
    from flows.scores import compare as look

    asked = Asked(context, home, as_json)
    asked.print(look(asked.place(), first, second))


def ensemble(
    context: typer.Context,
    decisions: Annotated[
        list[str], typer.Argument(metavar="DECISION...", help="Two or more, on the same observations.")
    ],
    how: Annotated[str, typer.Option(metavar="union|intersection|jaccard", help="Which species are kept.")],
    least_jaccard: Annotated[float, typer.Option(help="jaccard: from where on (0 to 1) decisions agree.")] = 0.5,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Answer with what several stored decisions say together."""
    from flows import ensemble as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    asked.print(run_flow(stage.ensemble, decisions, how, asked.home, least_jaccard))


def prior(
    context: typer.Context,
    dataset: Dataset,
    kind: Annotated[str, typer.Argument(metavar=KINDS)],
    name: Annotated[str | None, typer.Option(help="Of the prior; else its kind.")] = None,
    learn_from: Annotated[str | None, typer.Option(help="The data set whose labels are read; else the same.")] = None,
    split_id: Annotated[str | None, typer.Option(help="Whose training side is read.")] = None,
    shrinkage: Annotated[
        float | None, typer.Option(help="country, month: observations that all places weigh as much as [10].")
    ] = None,
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="SOUTH WEST NORTH EAST", help="mask: degrees that species were recorded within."),
    ] = None,
    country: Annotated[list[str] | None, typer.Option(help="mask: that species were recorded in.")] = None,
    drop_unplaced: Annotated[
        bool | None, typer.Option("--drop-unplaced", help="mask: also species that no record places.")
    ] = None,
    rank: Annotated[
        str | None, typer.Option(metavar="genus|family", help="taxonomy: by which species are weighed [genus].")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL[@alias]", help="cluster: whose answers are read.")] = None,
    clusters: Annotated[int | None, typer.Option(help="cluster: how many [3].")] = None,
    tiling: Annotated[str | None, typer.Option(metavar=SCHEMES, help="cluster: whose tiles are read.")] = None,
    backbone: Moved = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Learn which species are likely where, for decision rules to weigh their scores by."""
    from flows import prior as stage
    from flows.orchestration import run_flow

    asked = Asked(context, home, as_json)
    report = run_flow(
        stage.prior,
        dataset,
        kind,
        name,
        learn_from,
        split_id,
        shrinkage,
        bounds,
        country,
        drop_unplaced,
        rank,
        model,
        clusters,
        tiling,
        backbone,
        asked.home,
    )
    asked.print(report)
