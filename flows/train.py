"""Vectors and labels to a registered head. The first version of a model becomes its champion."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import flow
from pydantic import BaseModel

from flows import settings, train_judgement
from flows.orchestration import Clock, code_version, flow_run_id, progress, say, told
from flows.train_inputs import Gathered, Inputs, examples_of, gather
from flows.train_judgement import Judgement
from flows.train_probe import probed
from lake import decisions, ledger, tables
from modeling.errors import TrainingError
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.heads import TrainedHead
    from modeling.registry import Registry, Run, TableRead, Version
    from modeling.training import Fitted


class TrainReport(BaseModel):
    """A model version, new or found."""

    dataset: str
    model: str
    model_version: str
    aliases: list[str]
    head: str
    objective: str
    species: int
    dropped: dict[str, int]  # species with too few training photographs, and how many they have
    train_images: int
    val_images: int
    val_accuracy: float  # of observations
    val_loss: float
    val_ece: float  # expected calibration error, of calibrated probabilities
    best_epoch: int
    baselines: dict[str, dict[str, float]]  # who never looks at a photograph, scored alike
    probe: str
    embedding_key: str
    class_map_id: str
    split_id: str
    mlflow_run_id: str
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        named = f"{self.model_version}{' (' + ', '.join(self.aliases) + ')' if self.aliases else ''}"
        if not self.committed:
            return [f"{named} was trained on exactly this: nothing new to learn, no model was loaded"]
        epoch = f" (epoch {self.best_epoch + 1})" if self.best_epoch >= 0 else ""
        blind = ", ".join(f"{who} {scores['accuracy']:.3f}" for who, scores in sorted(self.baselines.items()))
        lines = [
            f"{named}: {self.species} species from {self.train_images} photographs, validated on {self.val_images}: "
            f"accuracy {self.val_accuracy:.3f}, loss {self.val_loss:.3f}{epoch}, calibration error {self.val_ece:.3f}",
            f"without looking: {blind}",
            f"probe: {self.probe}",
        ]
        if self.dropped:
            few = ", ".join(f"{species} ({count})" for species, count in list(self.dropped.items())[:5])
            more = ", ..." if len(self.dropped) > 5 else ""
            lines.append(f"not learnt for want of photographs: {len(self.dropped)} species: {few}{more}")
        return lines


@flow(name="train")
def train(
    dataset: str,
    name: str,
    backbone: str | None = None,
    home: Path | None = None,
    recipe: dict[str, Any] | Path | None = None,
    start_from: str | None = None,
) -> TrainReport:
    """Train a head on a data set and register it.

    Args:
        dataset: The data set.
        name: The registered model's name.
        backbone: Hub name or folder; by default the one that the data set is embedded with.
        home: The place's home.
        recipe: What head, objective, poolings and so on; a TOML file or its content. A linear head by default.
        start_from: A model whose weights the species that it knows begin with: NAME, NAME@alias or NAME/VERSION.
    """
    from modeling.registry import CHAMPION, Registry

    place = settings.load(home=home)
    settings.require_name(name, "model")
    asked = read_recipe(recipe, place.seed)
    clock, run_id = Clock(), flow_run_id()
    registry = Registry(place.registry_uri, place.artifacts)
    older = None if start_from is None else registry.find(start_from)
    plan = planned(place, registry, dataset, name, asked, backbone, run_id, older)
    inputs, champion, found = plan.inputs, plan.champion, plan.found
    if found is None:
        ledger.record_class_map(
            place.lake, inputs.class_map.class_map_id, inputs.class_map.species_ids, inputs.train_counts, run_id
        )
        tags = {
            "training_key": plan.key,
            "dataset": dataset,
            "embedding_key": inputs.used.embedding_key,
            "class_map_id": inputs.class_map.class_map_id,
            "split_id": inputs.split_id,
            "recipe": asked.spec,
            "head": asked.head,
            "objective": asked.objective,
            "dropped": json.dumps(inputs.dropped),
            "seed": str(asked.seed),
            "started_from": "" if older is None else older.recorded_as,
            "code": code_version(),
            "flow_run_id": run_id,
        }
        version = _fit_and_register(place, name, inputs, asked, tags, registry, older)
        rows = len(inputs.photographs.image_ids)
        ledger.record_stage(place.lake, run_id, "train", dataset, rows, 0, clock.seconds)
    else:
        version = found
    if champion is None:
        version = registry.set_alias(version, CHAMPION)
    return told(_report(dataset, version, found is None))


@dataclass(frozen=True)
class Planned:
    """What a training would learn from, before anything is learnt."""

    inputs: Inputs
    key: str  # hash of all that makes the model
    champion: "Version | None"
    found: "Version | None"  # that was trained on exactly this


def planned(
    place: settings.Settings,
    registry: "Registry",
    dataset: str,
    name: str,
    asked: Recipe,
    backbone: str | None,
    run_id: str,
    older: "Version | None" = None,
) -> Planned:
    """Bring embeddings and split up to date and say what there is to learn, and whether it was learnt before.

    Args:
        place: Settings.
        registry: Where versions are.
        dataset: The data set.
        name: The registered model's name.
        asked: The recipe.
        backbone: Hub name or folder; None for the one that the data set is embedded with.
        run_id: The flow run that writes.
        older: The model whose weights the training begins with.
    """
    from modeling import training
    from modeling.registry import CHAMPION

    champion = registry.holder(name, CHAMPION)
    inputs = gather(place, dataset, asked, backbone, champion, run_id)
    say(f"learning from the embeddings {inputs.used.embedding_key} of {inputs.used.backbone}")
    if asked.refit and decisions.scored_scope(place.lake, dataset, inputs.split_id).split != "test":
        raise TrainingError(
            f"refit learns from the validation observations too, and the split {inputs.split_id} has no test side to "
            f"score the model on: set test_fraction (TAXALAKE_TEST_FRACTION=0.2), or say refit = false"
        )
    # Before anything is committed; how long the features are is known when they are read.
    training.require_fitting(asked, inputs.problem(1))
    begun = "" if older is None else registry.head(older).network.weights_hash
    key = training.key(inputs.digest, inputs.class_map.class_map_id, inputs.used.embedding_key, asked, begun)
    found = next((old for old in registry.versions(name) if old.tags.get("training_key") == key), None)
    return Planned(inputs, key, champion, found)


def read_recipe(given: Mapping[str, Any] | Path | None, seed: int) -> Recipe:
    """Return the recipe of a TOML file, or of its content.

    Raises:
        TrainingError: If it cannot be read or makes no sense.
    """
    if isinstance(given, Path):
        try:
            given = tomllib.loads(given.expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"the recipe {given} cannot be read: {error}") from error
    return Recipe.read(given or {}, seed)


def fitted_to(
    inputs: Inputs,
    gathered: Gathered,
    recipe: Recipe,
    run: "Run | None" = None,
    older: "TrainedHead | None" = None,
    on_epoch: Callable[[int], None] = lambda count: None,
) -> "tuple[Fitted, TrainedHead]":
    """Fit a head to examples and return it with its contract."""
    from modeling import heads, training

    problem = inputs.problem(gathered.examples.features.shape[1])
    inherit = None if older is None else (lambda network: _inherit(network, inputs, recipe, older))
    logger = None if run is None else run.lightning_logger()
    fitted = training.fit(gathered.examples, problem, recipe, logger, on_epoch, inherit)
    used = inputs.used
    head = heads.TrainedHead(
        fitted.network,
        inputs.class_map,
        used.embedding_key,
        used.spec,
        used.backbone,
        recipe.poolings,
        fitted.temperature,
        fitted.is_multi_label,
    )
    return fitted, head


def _inherit(network: Any, inputs: Inputs, recipe: Recipe, older: "TrainedHead") -> None:
    from modeling import heads

    if (older.embedding_key, older.poolings) != (inputs.used.embedding_key, recipe.poolings):
        raise TrainingError(
            f"the older head takes {'+'.join(older.poolings)} of embeddings {older.embedding_key}, and this training "
            f"has {'+'.join(recipe.poolings)} of {inputs.used.embedding_key}: its weights mean nothing here"
        )

    count = heads.inherit(network, inputs.class_map, older)
    say(f"{count} of {len(inputs.class_map)} species begin with the weights that they had")


def _fit_and_register(
    place: settings.Settings,
    name: str,
    inputs: Inputs,
    recipe: Recipe,
    tags: Mapping[str, str],
    registry: "Registry",
    older: "Version | None",
) -> "Version":
    """Fit inside an MLflow run, log what went in and came out, try the model, and register it."""
    tags = {**tags, "snapshots": tables.describe([*inputs.photographs.snapshots, inputs.vectors])}
    before = None if older is None else registry.head(older)
    with (
        examples_of(place, inputs, recipe) as gathered,
        registry.run(name, f"train {inputs.dataset}", {"dataset": inputs.dataset}) as run,
        TemporaryDirectory(prefix="taxalake-figures-") as folder,
    ):
        with progress(f"train {name}", recipe.max_epochs, "epochs") as advance:
            fitted, head = fitted_to(inputs, gathered, recipe, run, before, advance)
        judgement = train_judgement.judge(inputs, gathered, fitted)
        for file in train_judgement.draw(place, name, inputs, gathered, fitted, judgement, Path(folder)):
            run.log_file(file, "judgement")
        counts = {
            "species": len(inputs.class_map),
            "train_images": _photographs(gathered, False),
            "val_images": _photographs(gathered, True),
        }
        _log(run, recipe, inputs, fitted, judgement, counts)
        run.log_tables(_reads(place, inputs))
        tags |= {key: str(value) for key, value in counts.items()} | {
            "val_accuracy": f"{fitted.validation_accuracy:.6f}",
            "val_loss": f"{fitted.validation_loss:.6f}",
            "val_ece": f"{fitted.confidence.errors[1]:.6f}",
            "best_epoch": str(fitted.best_epoch),
            "head_hash": fitted.weights_hash,
            "baselines": json.dumps(judgement.beside),
        }
        words = (
            f"{len(inputs.class_map)} species of {inputs.dataset!r}, a {recipe.head} head on "
            f"{'+'.join(recipe.poolings)} of {inputs.used.backbone}"
            # MLflow's pages show the picture that lies with the run.
            f"\n\n![what is taken for what](get-artifact?path=judgement%2Fconfusions.png&run_uuid={run.run_id})"
        )
        logged = registry.log(run, head, "+".join(recipe.tilings))
        probe = probed(place, registry, logged, inputs, gathered, recipe, head)
        tags |= {"probe": probe.words, "probe_passed": str(probe.passed).lower()}
        return registry.register(name, run, logged, tags, words)


def _photographs(gathered: Gathered, is_validation: bool) -> int:
    """Return how many photographs of one side have examples."""
    rows = np.flatnonzero(gathered.examples.is_validation == is_validation)
    return len({gathered.image_ids[row] for row in rows})


def _reads(place: settings.Settings, inputs: Inputs) -> "list[TableRead]":
    """Return every table that the training reads, at its version, with a digest of what was read."""
    from modeling.registry import TableRead

    lake, seen = place.lake, inputs.photographs
    reads = [
        TableRead(snapshot.table, lake.uri(snapshot.table), snapshot.version, seen.digest)
        for snapshot in seen.snapshots
    ]
    vectors = inputs.vectors
    return [*reads, TableRead(vectors.table, lake.uri(vectors.table), vectors.version, inputs.used.embedding_key)]


def _log(
    run: "Run", recipe: Recipe, inputs: Inputs, fitted: "Fitted", judgement: Judgement, counts: dict[str, int]
) -> None:
    chosen = {
        **json.loads(recipe.spec),
        "poolings": "+".join(recipe.poolings),
        "tilings": "+".join(recipe.tilings),
        "learning_rate": fitted.learning_rate,
    }
    params = {
        **chosen,
        **counts,
        "dataset": inputs.dataset,
        "split_id": inputs.split_id,
        "backbone": inputs.used.backbone,
        "embedding_key": inputs.used.embedding_key,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "temperature": fitted.temperature,
        "dropped_species": len(inputs.dropped),
    }
    blind = {f"{who}.{metric}": value for who, scores in judgement.beside.items() for metric, value in scores.items()}
    best = {"best_val_accuracy": fitted.validation_accuracy, "best_val_loss": fitted.validation_loss}
    run.log(params, best | judgement.metrics | blind)


def _report(dataset: str, version: "Version", committed: bool) -> TrainReport:
    tags = version.tags
    return TrainReport(
        dataset=dataset,
        model=version.name,
        model_version=version.model_version,
        aliases=list(version.aliases),
        head=tags["head"],
        objective=tags["objective"],
        species=int(tags["species"]),
        dropped=json.loads(tags["dropped"]),
        train_images=int(tags["train_images"]),
        val_images=int(tags["val_images"]),
        val_accuracy=float(tags["val_accuracy"]),
        val_loss=float(tags["val_loss"]),
        val_ece=float(tags["val_ece"]),
        best_epoch=int(tags["best_epoch"]),
        baselines=json.loads(tags["baselines"]),
        probe=tags["probe"],
        embedding_key=tags["embedding_key"],
        class_map_id=tags["class_map_id"],
        split_id=tags["split_id"],
        mlflow_run_id=version.run_id,
        snapshots=json.loads(tags["snapshots"]),
        committed=committed,
    )
