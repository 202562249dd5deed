"""Vectors and labels to a registered head. The first version of a model becomes its champion."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.audit import ensure_hashed
from flows.embed import embed, ensure_embedded
from flows.orchestration import Clock, code_version, flow_run_id, progress, run_subflow, say, told
from lake import embeddings, labels, ledger, splits, tables
from lake.embeddings import KnownKey
from lake.errors import LakeError
from lake.labels import TrainingExamples
from modeling import backbones
from modeling.backbones import BackboneFiles
from modeling.class_map import ClassMap
from modeling.errors import BackboneError

if TYPE_CHECKING:
    from modeling.registry import Registry, Run, Version
    from modeling.training import Examples, Fitted, Recipe

SCHEME = "whole"  # a photograph of one organism is learnt from as it is
POOLINGS = ("cls", "mean_patch")


class TrainReport(BaseModel):
    """A model version, new or found."""

    dataset: str
    model: str
    model_version: str
    aliases: list[str]
    species: int
    train_images: int
    val_images: int
    val_accuracy: float
    val_loss: float
    best_epoch: int
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
        return [
            f"{named}: {self.species} species from {self.train_images} photographs, validated on {self.val_images}: "
            f"accuracy {self.val_accuracy:.3f}, loss {self.val_loss:.3f} (epoch {self.best_epoch + 1})"
        ]


@flow(name="train")
def train(dataset: str, name: str, backbone: str | None = None, home: Path | None = None) -> TrainReport:
    """Train a linear head on a data set and register it.

    Args:
        dataset: The data set.
        name: The registered model's name.
        backbone: Hub name or folder; by default the one that the data set is embedded with.
        home: The place's home.
    """
    from modeling import training
    from modeling.registry import CHAMPION, Registry

    place = settings.load(home=home, tiling=SCHEME)
    settings.require_name(name, "model")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    registry = Registry(place.registry_uri, place.artifacts)
    champion = next((old for old in registry.versions(name) if CHAMPION in old.aliases), None)
    used = _embeddings(place, dataset, backbone, champion, run_id)
    recipe = place.split_recipe
    split_id = recipe.split_id(dataset)
    if recipe.group_by == "near_duplicate":
        ensure_hashed(place, dataset, run_id)
    splits.assign(lake, dataset, recipe, run_id)
    examples = labels.training_examples(lake, dataset, split_id)
    if examples.several:
        say(f"left out: {examples.several} observations that hold several species")
    class_map = _class_map(examples)
    fitting = training.Recipe(seed=place.seed)
    key = training.key(examples.digest, class_map.class_map_id, used.embedding_key, POOLINGS, fitting)
    found = next((old for old in registry.versions(name) if old.tags.get("training_key") == key), None)
    if found is None:
        counts = Counter(
            species for species, split in zip(examples.species_ids, examples.splits, strict=True) if split == "train"
        )
        ledger.record_class_map(lake, class_map.class_map_id, class_map.species_ids, counts, run_id)
        tags = {
            "training_key": key,
            "dataset": dataset,
            "embedding_key": used.embedding_key,
            "class_map_id": class_map.class_map_id,
            "split_id": split_id,
            "seed": str(place.seed),
            "code": code_version(),
            "flow_run_id": run_id,
        }
        version = _fit_and_register(place, dataset, name, used, examples, class_map, fitting, tags, registry)
        ledger.record_stage(lake, run_id, "train", dataset, len(examples.image_ids), 0, clock.seconds)
    else:
        version = found
    if champion is None:
        version = registry.set_alias(version, CHAMPION)
    report = _report(dataset, version, found is None)
    return told(report)


def _embeddings(
    place: settings.Settings, dataset: str, backbone: str | None, champion: "Version | None", run_id: str
) -> KnownKey:
    """Return the embeddings to learn from: those that are there, else those of the backbone asked for, made now.

    Among several that are there: those of the weights asked for, else those that the champion learnt from, else the
    ones with the most and newest vectors.
    """
    lake = place.lake
    embeddings.require_dataset(lake, dataset)
    known = embeddings.known_keys(lake, dataset, SCHEME)
    if backbone is not None:
        known = _made_by(backbones.find(backbone), known)
    elif champion is not None:
        known.sort(key=lambda key: key.embedding_key != champion.tags["embedding_key"])
    if known:
        used = known[0]
        say(f"learning from the embeddings {used.embedding_key} of {used.backbone}")
        ensure_embedded(place, dataset, used.spec, used.backbone, run_id)
        return used
    made = run_subflow(embed, dataset, backbone, SCHEME, home=place.home)
    known = [key for key in embeddings.known_keys(lake, dataset, SCHEME) if key.embedding_key == made.embedding_key]
    if not known:
        images = made.schemes[SCHEME].images
        raise LakeError(f"none of the {images} images of {dataset!r} could be embedded: see ingest_issues")
    return known[0]


def _made_by(files: BackboneFiles, known: list[KnownKey]) -> list[KnownKey]:
    """Return the keys whose vectors a backbone makes, with where it is now, not where it was when it made the first.

    Raises:
        BackboneError: If its weights have made vectors, and it makes others now.
    """
    made, refusal = [], None
    for key in known:
        if key.weights_hash == files.weights_hash:
            try:
                backbones.as_recorded(files, key.spec, files.name)
            except BackboneError as error:
                refusal = error
            else:
                made.append(replace(key, backbone=files.name))
    if refusal is not None and not made:
        raise refusal
    return made


def _class_map(examples: TrainingExamples) -> ClassMap:
    """Return the map of the species that there is something to learn of."""
    learnt = {species for species, split in zip(examples.species_ids, examples.splits, strict=True) if split == "train"}
    return ClassMap.of({species: examples.names[species] for species in learnt})


def _matrix(place: settings.Settings, used: KnownKey, examples: TrainingExamples, class_map: ClassMap) -> "Examples":
    """Return features and targets of the examples that have vectors and a class."""
    from modeling.heads import join
    from modeling.training import Examples

    (snapshot,) = tables.latest(place.lake, "embeddings")
    wanted = sorted(set(examples.image_ids))
    found = embeddings.read_vectors(place.lake, snapshot, used.embedding_key, SCHEME, wanted, POOLINGS)
    row_of = {image_id: row for row, image_id in enumerate(found.image_ids)}
    usable = [
        (row_of[image_id], class_map.index[species], split == "val")
        for image_id, species, split in zip(examples.image_ids, examples.species_ids, examples.splits, strict=True)
        # Set aside in embedding, or a species that only validation shows.
        if image_id in row_of and species in class_map.index
    ]
    if len(usable) < len(examples.image_ids):
        say(f"left out: {len(examples.image_ids) - len(usable)} photographs without vectors or of species only in val")
    rows, targets, held_out = (np.array(column) for column in zip(*usable, strict=True))
    return Examples(join(found.poolings, POOLINGS)[rows], targets.astype(np.int64), held_out.astype(bool))


def _fit_and_register(
    place: settings.Settings,
    dataset: str,
    name: str,
    used: KnownKey,
    examples: TrainingExamples,
    class_map: ClassMap,
    recipe: "Recipe",
    tags: dict[str, str],
    registry: "Registry",
) -> "Version":
    """Fit inside an MLflow run, log what went in and came out, and register the head."""
    from modeling import training
    from modeling.heads import TrainedHead
    from modeling.registry import TableRead

    matrix = _matrix(place, used, examples, class_map)
    lake = place.lake
    reads = [
        TableRead(snapshot.table, lake.uri(snapshot.table), snapshot.version, examples.digest)
        for snapshot in examples.snapshots
    ]
    (vectors,) = tables.latest(lake, "embeddings")
    reads.append(TableRead(vectors.table, lake.uri(vectors.table), vectors.version, used.embedding_key))
    tags = {**tags, "snapshots": tables.describe([*examples.snapshots, vectors])}
    with registry.run(name, f"train {dataset}", {"dataset": dataset}) as run:
        with progress(f"train {name}", recipe.max_epochs, "epochs") as advance:
            fitted = training.fit(matrix, len(class_map), recipe, run.lightning_logger(), advance)
        head = TrainedHead(fitted.network, class_map, used.embedding_key, used.spec, used.backbone, POOLINGS)
        counts = {
            "species": len(class_map),
            "train_images": int((~matrix.is_validation).sum()),
            "val_images": int(matrix.is_validation.sum()),
        }
        _log(run, recipe, dataset, used, fitted, counts)
        run.log_tables(reads)
        tags |= {key: str(value) for key, value in counts.items()} | {
            "val_accuracy": f"{fitted.validation_accuracy:.6f}",
            "val_loss": f"{fitted.validation_loss:.6f}",
            "best_epoch": str(fitted.best_epoch),
            "head_hash": fitted.weights_hash,
        }
        words = f"{len(class_map)} species of {dataset!r}, a linear head on {'+'.join(POOLINGS)} of {used.backbone}"
        return registry.register(name, run, head, tags, words)


def _log(run: "Run", recipe: "Recipe", dataset: str, used: KnownKey, fitted: "Fitted", counts: dict[str, int]) -> None:
    params = {
        **asdict(recipe),
        **counts,
        "dataset": dataset,
        "head": "linear",
        "poolings": "+".join(POOLINGS),
        "backbone": used.backbone,
        "embedding_key": used.embedding_key,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
    }
    run.log(params, {"best_val_accuracy": fitted.validation_accuracy, "best_val_loss": fitted.validation_loss})


def _report(dataset: str, version: "Version", committed: bool) -> TrainReport:
    tags = version.tags
    return TrainReport(
        dataset=dataset,
        model=version.name,
        model_version=version.model_version,
        aliases=list(version.aliases),
        species=int(tags["species"]),
        train_images=int(tags["train_images"]),
        val_images=int(tags["val_images"]),
        val_accuracy=float(tags["val_accuracy"]),
        val_loss=float(tags["val_loss"]),
        best_epoch=int(tags["best_epoch"]),
        embedding_key=tags["embedding_key"],
        class_map_id=tags["class_map_id"],
        split_id=tags["split_id"],
        mlflow_run_id=version.run_id,
        snapshots=json.loads(tags["snapshots"]),
        committed=committed,
    )
