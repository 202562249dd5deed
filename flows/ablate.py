"""A matrix of choices, each combination trained and scored on the same observations: which part helps, by how much."""

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings, train_judgement
from flows.orchestration import Clock, flow_run_id, in_flow_run, progress, run_task, told
from flows.prefect_pages import show_table
from flows.train import fitted_to
from flows.train_inputs import Inputs, examples_of, gather
from lake import ablations, ledger
from lake.splits import SplitRecipe
from modeling import bootstrap
from modeling.errors import TrainingError
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.registry import Registry

_PLACE = {"backbone", "split"}  # dimensions that are no part of a recipe
_TOP = 10  # cells that a report lists


class CellReport(BaseModel):
    """A combination of choices and how it did on the validation observations."""

    cell_id: str
    choices: dict[str, str]
    accuracy: float
    accuracy_low: float  # of 95 of 100 resamples of the observations
    accuracy_high: float
    macro_f1: float
    mlflow_run_id: str


class EffectReport(BaseModel):
    """What one choice gains over the first of its dimension, all else alike."""

    dimension: str
    choice: str
    instead_of: str
    cells: int  # pairs of cells that differ in this alone
    gain: float  # accuracy
    low: float
    high: float
    is_real: bool  # the interval leaves out zero


class AblationReport(BaseModel):
    """Every cell, best first, and the effect of every choice."""

    dataset: str
    cells: list[CellReport]
    effects: list[EffectReport]
    refused: dict[str, str]  # choices that do not go together, and why
    validated_elsewhere: list[str]  # choices whose observations differ from the first cell's: not compared with it
    best_recipe: str  # a file that `taxalake train --recipe` takes
    best_backbone: str
    trained: int
    reused: int
    seconds: float
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{self.dataset}: {len(self.cells)} cells: {self.trained} trained, {self.reused} known before"]
        lines += [
            f"  {cell.accuracy:.3f} ({cell.accuracy_low:.3f} to {cell.accuracy_high:.3f}), macro F1 "
            f"{cell.macro_f1:.3f}: {_words(cell.choices)}"
            for cell in self.cells[:_TOP]
        ]
        if len(self.cells) > _TOP:
            lines.append(f"  and {len(self.cells) - _TOP} more: taxalake sql 'from ablations order by accuracy desc'")
        if self.effects:
            lines.append("by how much each choice helps, all else alike (accuracy, 95 % interval):")
        for effect in self.effects:
            verdict = "" if effect.is_real else "  (may be chance)"
            lines.append(
                f"  {effect.dimension} {effect.choice} instead of {effect.instead_of}: {effect.gain:+.3f} "
                f"({effect.low:+.3f} to {effect.high:+.3f}, {effect.cells} pairs){verdict}"
            )
        lines += [f"not possible: {choices}: {why}" for choices, why in self.refused.items()]
        lines += [f"validated on other observations: {choices}" for choices in self.validated_elsewhere]
        backbone = f" --backbone {self.best_backbone}" if self.best_backbone else ""
        lines.append(
            f"the best of them, chosen by validation alone: taxalake train --dataset {self.dataset} --name NAME"
            f"{backbone} --recipe {self.best_recipe}"
        )
        return lines


@dataclass(frozen=True)
class _Cell:
    """One combination of choices, as asked for."""

    choices: dict[str, str]  # by dimension, in words; only dimensions that vary
    backbone: str | None
    split_by: str | None
    recipe: Recipe


@flow(name="ablate")
def ablate(matrix: Path | dict[str, Any], home: Path | None = None) -> AblationReport:
    """Train and score every combination of some choices on ready embeddings. What is known is not trained again.

    Args:
        matrix: A TOML file, or its content: ``dataset``; a table ``matrix`` with lists for backbone, split, poolings,
            tilings, head, objective or any other part of a recipe; and a table ``recipe`` with what all cells share.
        home: The place's home.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    clock, run_id = Clock(), flow_run_id()
    asked, source = _read(matrix)
    cells, refused = _cells(asked, place.seed)
    registry = Registry(place.registry_uri, place.artifacts)
    scored: list[tuple[_Cell, dict[str, Any]]] = []
    recorded = trained = 0
    with progress(f"ablate {asked['dataset']}", len(cells), "cells") as advance:
        for cell in cells:
            row, is_new = run_task(_cell_task, place, asked["dataset"], cell, registry, run_id)
            recorded += is_new
            if row.get("refusal") is None:
                scored.append((cell, row))
                trained += is_new
            else:
                refused[_words(cell.choices)] = row["refusal"]
            advance(1)
    if recorded:
        ledger.record_stage(
            place.lake, run_id, "ablate", asked["dataset"], recorded, len(scored) - trained, clock.seconds
        )
    report = _report(place, asked["dataset"], source, scored, refused, recorded, trained, clock.seconds)
    if in_flow_run():
        effects = [effect.model_dump() for effect in report.effects]
        about = f"By how much each choice helps on {asked['dataset']}."
        show_table(effects, about, "ablate", asked["dataset"], "effects")
    return told(report)


def try_cell(
    place: settings.Settings, dataset: str, cell: _Cell, registry: "Registry", run_id: str
) -> tuple[dict[str, Any], bool]:
    """Train and score one cell, unless that was done before; return its row, and whether that was recorded now."""
    if cell.split_by is not None:
        place = place.model_copy(update={"split_by": cell.split_by})
    try:
        inputs = gather(place, dataset, cell.recipe, cell.backbone, None, run_id)
    except TrainingError as error:
        # Without inputs there is no id to record it under; to see it again costs nothing.
        return {"refusal": str(error)}, False
    cell_id = _cell_id(inputs, cell)
    known = ablations.known(place.lake, [cell_id])
    if known:
        return known[cell_id], False
    clock = Clock()
    row: dict[str, Any] = {
        "cell_id": cell_id,
        "dataset": dataset,
        "choices": json.dumps(cell.choices, sort_keys=True),
        "recipe": cell.recipe.spec,
        "embedding_key": inputs.used.embedding_key,
        "class_map_id": inputs.class_map.class_map_id,
        "split_id": inputs.split_id,
        "observation_count": 0,
        "flow_run_id": run_id,
    }
    answers: dict[str, Sequence[Any]] = {}
    try:
        scored, answers = _scored(place, dataset, cell, inputs, registry)
        row |= scored
    except TrainingError as error:
        row["refusal"] = str(error)
    row["seconds"] = clock.seconds
    ablations.record(place.lake, row, answers)
    return row, True


_cell_task = task(name="ablate-cell", cache_policy=NO_CACHE)(try_cell)


def _scored(
    place: settings.Settings, dataset: str, cell: _Cell, inputs: Inputs, registry: "Registry"
) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Train one cell inside an MLflow run and return its scores and what it answered."""
    words = _words(cell.choices) or "as usual"
    with (
        registry.run(f"ablate {dataset}", words, {"dataset": dataset}, within=f"ablate {dataset}") as run,
        examples_of(place, inputs, cell.recipe) as gathered,
    ):
        fitted, _ = fitted_to(inputs, gathered, replace(cell.recipe, refit=False))
        judgement = train_judgement.judge(inputs, gathered, fitted)
        run.log({**json.loads(cell.recipe.spec), **cell.choices, "split_id": inputs.split_id}, judgement.metrics)
        found = fitted.answers
        species = np.array(inputs.class_map.species_ids, dtype=object)
        scored = {
            "observation_count": len(found.best),
            "accuracy": judgement.metrics["val_accuracy"],
            "macro_f1": judgement.metrics["val_macro_f1"],
            "ece": judgement.metrics["val_ece"],
            "mlflow_run_id": run.run_id,
        }
    answers: dict[str, Sequence[Any]] = {
        "observation_id": [gathered.observation_ids[number] for number in found.observations],
        "species_id": species[found.best].tolist(),
        "probability": found.probabilities.tolist(),
        "is_right": found.is_right.tolist(),
    }
    return scored, answers


def _cell_id(inputs: Inputs, cell: _Cell) -> str:
    whole = [inputs.digest, inputs.used.embedding_key, cell.recipe.spec]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def _read(matrix: Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return what is asked for, and a name for it.

    Raises:
        TrainingError: If the file cannot be read, or says what is not understood.
    """
    name = "ablation"
    if isinstance(matrix, Path):
        name = matrix.stem
        try:
            matrix = tomllib.loads(matrix.expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"the matrix {matrix} cannot be read: {error}") from error
    asked = {"matrix": {}, "recipe": {}, **matrix}
    unknown = asked.keys() - {"dataset", "matrix", "recipe"}
    if unknown or "dataset" not in asked:
        raise TrainingError(
            f"a matrix has dataset, [matrix] and [recipe]; this one has {', '.join(map(str, matrix)) or 'nothing'}"
        )
    for dimension, choices in asked["matrix"].items():
        if not isinstance(choices, list) or not choices:
            raise TrainingError(f"the choices of {dimension} are {choices!r}; they are a list of one or more")
    return asked, name


def _cells(asked: Mapping[str, Any], seed: int) -> tuple[list[_Cell], dict[str, str]]:
    """Return every combination, the first of each dimension first, and those whose parts exclude each other.

    Raises:
        TrainingError: If a dimension is unknown, or a choice makes no sense by itself.
    """
    from modeling import objectives
    from modeling.heads import kinds

    matrix: dict[str, list[Any]] = asked["matrix"]
    Recipe.read(asked["recipe"], seed)
    for dimension in matrix.keys() - _PLACE:
        for choice in matrix[dimension]:
            Recipe.read({dimension: _part(dimension, choice)}, seed)
    for dimension, known in (("head", kinds.KINDS), ("objective", objectives.OBJECTIVES)):
        for choice in matrix.get(dimension, []):
            name = getattr(Recipe.read({dimension: choice}, seed), dimension)
            if name not in known:
                raise TrainingError(f"there is no {dimension} {name!r}; there are {', '.join(known)}")
    for split in matrix.get("split", []):
        SplitRecipe(group_by=split)
    names = {dimension: _names(choices) for dimension, choices in matrix.items()}
    cells, refused = [], {}
    varying = {dimension for dimension, choices in matrix.items() if len(choices) > 1}
    for places in itertools.product(*(range(len(choices)) for choices in matrix.values())):
        at = dict(zip(matrix, places, strict=True))
        chosen = {dimension: matrix[dimension][place] for dimension, place in at.items()}
        own = {dimension: choice for dimension, choice in chosen.items() if dimension not in _PLACE}
        named = {dimension: names[dimension][place] for dimension, place in at.items() if dimension in varying}
        try:
            recipe = Recipe.read({**asked["recipe"], **{name: _part(name, part) for name, part in own.items()}}, seed)
        except TrainingError as error:
            refused[_words(named)] = str(error)
            continue
        cells.append(_Cell(named, chosen.get("backbone"), chosen.get("split"), recipe))
    return cells, refused


def _part(dimension: str, choice: Any) -> Any:
    """Return a choice as a recipe takes it: ``cls+mean_patch`` is two poolings."""
    if dimension in {"poolings", "tilings"} and isinstance(choice, str):
        return choice.split("+")
    return choice


def _names(choices: Sequence[Any]) -> list[str]:
    """Return the choices of a dimension in words, short where that tells them apart."""
    short = [_name(choice) for choice in choices]
    return short if len(set(short)) == len(short) else [json.dumps(choice) for choice in choices]


def _name(choice: Any) -> str:
    """Return a choice in words: a table by its values, a folder by its name."""
    if isinstance(choice, Mapping) and choice:
        first, *others = choice.items()
        return " ".join([str(first[1]), *(f"{name}={value}" for name, value in others)])
    if isinstance(choice, list):
        return "+".join(map(str, choice))
    return Path(choice).name if isinstance(choice, str) else str(choice)


def _words(choices: Mapping[str, str]) -> str:
    return ", ".join(f"{dimension} {choice}" for dimension, choice in choices.items())


def _report(
    place: settings.Settings,
    dataset: str,
    source: str,
    scored: Sequence[tuple[_Cell, dict[str, Any]]],
    refused: dict[str, str],
    recorded: int,
    trained: int,
    seconds: float,
) -> AblationReport:
    if not scored:
        raise TrainingError(f"none of the {len(refused)} cells could be trained: {next(iter(refused.values()))}")
    right = ablations.is_right(place.lake, [row["cell_id"] for _, row in scored])
    reports = []
    for cell, row in scored:
        interval = bootstrap.mean_interval(right[row["cell_id"]][1])
        reports.append(
            CellReport(
                cell_id=row["cell_id"],
                choices=cell.choices,
                accuracy=row["accuracy"],
                accuracy_low=interval.low,
                accuracy_high=interval.high,
                macro_f1=row["macro_f1"],
                mlflow_run_id=row["mlflow_run_id"],
            )
        )
    # The best is one of those that were validated like the first; ties go to the cell that was asked for first.
    first = right[reports[0].cell_id][0]
    alike = [at for at, cell in enumerate(reports) if right[cell.cell_id][0] == first]
    best = max(alike, key=lambda at: (reports[at].accuracy, reports[at].macro_f1, -at))
    recipe = scored[best][0].recipe
    path = place.home / "recipes" / f"{source}-best.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe.toml, encoding="utf-8")
    return AblationReport(
        dataset=dataset,
        cells=sorted(reports, key=lambda cell: -cell.accuracy),
        effects=_effects([(cell, row["cell_id"]) for cell, row in scored], right),
        refused=refused,
        validated_elsewhere=[_words(cell.choices) for at, cell in enumerate(reports) if at not in alike],
        best_recipe=str(path),
        best_backbone=scored[best][0].backbone or "",
        trained=trained,
        reused=len(scored) - trained,
        seconds=seconds,
        committed=recorded > 0,
    )


def _effects(
    scored: Sequence[tuple[_Cell, str]], right: Mapping[str, tuple[list[str], np.ndarray[Any, Any]]]
) -> list[EffectReport]:
    """Compare every choice with the first of its dimension, over all pairs of cells that differ in nothing else."""
    by_choices = {tuple(sorted(cell.choices.items())): cell_id for cell, cell_id in scored}
    dimensions = list(scored[0][0].choices)
    effects = []
    for dimension in dimensions:
        choices = list(dict.fromkeys(cell.choices[dimension] for cell, _ in scored))
        for choice in choices[1:]:
            # Pairs of one split are averaged observation by observation; of another split the observations are others.
            differences: dict[tuple[str, ...], list[np.ndarray[Any, Any]]] = {}
            for cell, cell_id in scored:
                if cell.choices[dimension] != choice:
                    continue
                other = by_choices.get(tuple(sorted({**cell.choices, dimension: choices[0]}.items())))
                if other is not None and right[cell_id][0] == right[other][0]:
                    of_split = differences.setdefault(tuple(right[cell_id][0]), [])
                    of_split.append(right[cell_id][1] - right[other][1])
            if not differences:
                continue
            means = [np.mean(of_split, axis=0) for of_split in differences.values()]
            interval = bootstrap.mean_interval(np.concatenate(means))
            effects.append(
                EffectReport(
                    dimension=dimension,
                    choice=choice,
                    instead_of=choices[0],
                    cells=sum(map(len, differences.values())),
                    gain=interval.value,
                    low=interval.low,
                    high=interval.high,
                    is_real=interval.is_real,
                )
            )
    return effects
