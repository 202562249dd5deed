"""Where a model comes from, and whether it can be made again: every input by name, and a replay from them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import code_version, progress, told
from flows.train import fitted_to
from flows.train_inputs import examples_of, inputs_of
from lake import embeddings, labels
from lake.errors import LakeError
from lake.labels import EXAMPLE_TABLES
from lake.tables import Snapshot
from modeling.errors import RegistryError
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.registry import Version

_NEEDED = ("recipe", "snapshots", "split_id", "dataset", "embedding_key", "head_hash")


class LineageReport(BaseModel):
    """Everything that a model version was made from."""

    model_version: str
    aliases: list[str]
    dataset: str
    split_id: str
    snapshots: dict[str, int]  # tables at their versions
    training_key: str
    recipe: dict[str, object]
    backbone: str
    embedding_key: str
    embedding_spec: dict[str, object]
    class_map_id: str
    species: int
    head_hash: str
    seed: int
    started_from: str
    code: str  # version of taxalake, and of its repository
    mlflow_run_id: str
    flow_run_id: str

    def lines(self) -> list[str]:
        """The report for people."""
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        spec = ", ".join(f"{name} {_short(value)}" for name, value in self.embedding_spec.items())
        recipe = ", ".join(f"{name} {_short(value)}" for name, value in self.recipe.items())
        return [
            f"{self.model_version}{aliases}, {self.species} species, weights {self.head_hash}",
            f"learnt from: {self.dataset}, split {self.split_id}",
            f"tables: {', '.join(f'{table}@{version}' for table, version in self.snapshots.items())}",
            f"embeddings: {self.embedding_key} of {self.backbone}: {spec}",
            f"class map: {self.class_map_id}",
            f"recipe: {recipe}",
            *([f"began with the weights of {self.started_from}"] if self.started_from else []),
            f"code: {self.code}; MLflow run {self.mlflow_run_id}; flow run {self.flow_run_id}",
            f"make it again: taxalake replay {self.model_version}",
        ]


class ReplayReport(BaseModel):
    """Whether a model could be made again."""

    model_version: str
    is_same: bool
    head_hash: str
    replayed_hash: str
    differences: list[str]  # what is not as it was

    def lines(self) -> list[str]:
        """The report for people."""
        if self.is_same:
            return [f"{self.model_version}: the same, bit for bit (weights {self.head_hash})", *self.differences]
        return [
            f"{self.model_version}: NOT the same: weights {self.replayed_hash}, and {self.head_hash} are registered",
            *self.differences,
        ]


def lineage(place: settings.Settings, model: str) -> LineageReport:
    """Return every input of a model version. Reads the registry and no table.

    Args:
        place: Settings.
        model: NAME, NAME@alias or NAME/VERSION.

    Raises:
        RegistryError: If there is none, or it was not trained by ``train``.
    """
    from modeling.registry import Registry

    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    _require_trained(version)
    head, tags = registry.head(version), version.tags
    return LineageReport(
        model_version=version.model_version,
        aliases=list(version.aliases),
        dataset=tags["dataset"],
        split_id=tags["split_id"],
        snapshots=json.loads(tags["snapshots"]),
        training_key=tags["training_key"],
        recipe=Recipe.parse(tags["recipe"]).written(),
        backbone=head.backbone,
        embedding_key=tags["embedding_key"],
        embedding_spec=json.loads(head.embedding_spec),
        class_map_id=tags["class_map_id"],
        species=int(tags["species"]),
        head_hash=tags["head_hash"],
        seed=int(tags["seed"]),
        started_from=tags["started_from"],
        code=tags["code"],
        mlflow_run_id=version.run_id,
        flow_run_id=tags["flow_run_id"],
    )


@flow(name="replay")
def replay(model: str, home: Path | None = None) -> ReplayReport:
    """Make a model again from its recorded snapshots and recipe, and say whether it is the same. Registers nothing.

    Args:
        model: NAME, NAME@alias or NAME/VERSION.
        home: The place's home.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    _require_trained(version)
    tags, recorded = version.tags, registry.head(version)
    recipe = Recipe.parse(tags["recipe"])
    versions = json.loads(tags["snapshots"])
    snapshots = [Snapshot(table, versions[table]) for table in EXAMPLE_TABLES]
    photographs = labels.training_examples(place.lake, tags["dataset"], tags["split_id"], snapshots)
    keys = embeddings.known_keys(place.lake, tags["dataset"], recipe.tilings[0])
    used = next((key for key in keys if key.embedding_key == tags["embedding_key"]), None)
    if used is None:
        raise LakeError(
            f"{version.model_version} learnt from embeddings {tags['embedding_key']}, which {tags['dataset']!r} no "
            f"longer has; there are {', '.join(key.embedding_key for key in keys) or 'none'}"
        )
    vectors = Snapshot("embeddings", versions["embeddings"])
    inputs = inputs_of(tags["dataset"], tags["split_id"], photographs, used, vectors, recipe)
    inputs.class_map.require(tags["class_map_id"], version.model_version)
    older = registry.head(registry.find(_registered(tags["started_from"]))) if tags["started_from"] else None
    with (
        examples_of(place, inputs, recipe) as gathered,
        progress(f"replay {version.model_version}", recipe.max_epochs, "epochs") as advance,
    ):
        fitted, head = fitted_to(inputs, gathered, recipe, None, older, advance)
    differences = []
    if code_version() != tags["code"]:
        differences.append(f"the code is {code_version()}, and was {tags['code']}")
    if head.temperature != recorded.temperature:
        differences.append(f"the temperature is {head.temperature!r}, and was {recorded.temperature!r}")
    return told(
        ReplayReport(
            model_version=version.model_version,
            is_same=fitted.weights_hash == tags["head_hash"] and head.temperature == recorded.temperature,
            head_hash=tags["head_hash"],
            replayed_hash=fitted.weights_hash,
            differences=differences,
        )
    )


def _require_trained(version: "Version") -> None:
    missing = [tag for tag in _NEEDED if tag not in version.tags]
    if missing:
        raise RegistryError(
            f"{version.model_version} does not say what it was made from (no {', '.join(missing)}): it was imported, "
            f"or trained by an older version"
        )


def _registered(recorded: str) -> str:
    """Return NAME/VERSION of how tables name a version."""
    return recorded.rpartition(":")[0]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
