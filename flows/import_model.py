"""A model that timm has trained elsewhere to a registered one. The first version of a model becomes its champion."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import code_version, flow_run_id, told
from lake import ledger, query, tables
from lake.tables import Lake, Snapshot
from modeling import backbones
from modeling.backbones import EmbeddingSpec
from modeling.class_map import ClassMap

if TYPE_CHECKING:
    from modeling.heads import TrainedHead
    from modeling.registry import Registry, Version
    from modeling.timm_checkpoints import TimmCheckpoint


class ImportReport(BaseModel):
    """A model version, new or found, and the backbone beside it."""

    model: str
    model_version: str
    aliases: list[str]
    species: int
    species_with_names: int
    backbone: str
    embedding_key: str
    dtype: str
    class_map_id: str
    mlflow_run_id: str
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        named = f"{self.model_version}{' (' + ', '.join(self.aliases) + ')' if self.aliases else ''}"
        if not self.committed:
            return [f"{named} was imported from exactly this: nothing new, no model was registered"]
        return [
            f"{named}: {self.species} species, {self.species_with_names} of them with the name that the lake knows; "
            f"{self.dtype}, key {self.embedding_key}",
            f"backbone: {self.backbone}",
        ]


@flow(name="import-timm")
def import_timm(
    checkpoint: Path, class_mapping: Path, name: str, home: Path | None = None, heads: int | None = None
) -> ImportReport:
    """Take over a DINOv2 vision transformer that was fine-tuned with timm: its backbone, and its classifier as a head.

    Args:
        checkpoint: What timm has saved: .pth.tar, .pth or .safetensors.
        class_mapping: The species_id of class index i in line i, counted from 0.
        name: The registered model's name.
        home: The place's home; the backbone is written into it.
        heads: Attention heads in a block; by default one for each 64 of the width.
    """
    from modeling.registry import CHAMPION, Registry
    from modeling.timm_checkpoints import TimmCheckpoint, read_class_mapping

    place = settings.load(home=home)
    settings.require_name(name, "model")
    run_id, lake = flow_run_id(), place.lake
    species_ids = read_class_mapping(Path(class_mapping))
    source = TimmCheckpoint(Path(checkpoint), heads)
    files = backbones.find(str(source.save_backbone(place.home.resolve() / "backbones")))
    spec = EmbeddingSpec(files.weights_hash, files.preprocessing, backbones.resolve_dtype(place.dtype, place.device))
    tables.create_missing(lake)
    (known,) = tables.latest(lake, "species")
    names = _names(lake, known)
    class_map = ClassMap(species_ids, tuple(names.get(species_id, species_id) for species_id in species_ids))
    registry = Registry(place.registry_uri, place.artifacts)
    versions = registry.versions(name)
    origin = {
        "checkpoint_hash": source.file_hash,
        "class_map_id": class_map.class_map_id,
        "embedding_key": spec.key,
    }
    found = next((old for old in versions if origin.items() <= old.tags.items()), None)
    if found is None:
        head = source.head(class_map, spec, files.name)
        ledger.record_class_map(lake, class_map.class_map_id, species_ids, {}, run_id)
        version = _register(registry, name, source, head, lake, known, {**origin, "flow_run_id": run_id})
    else:
        version = found
    if not any(CHAMPION in old.aliases for old in versions):
        version = registry.set_alias(version, CHAMPION)
    report = ImportReport(
        model=name,
        model_version=version.model_version,
        aliases=list(version.aliases),
        species=len(class_map),
        species_with_names=sum(names.get(species_id, species_id) != species_id for species_id in species_ids),
        backbone=files.name,
        embedding_key=spec.key,
        dtype=spec.dtype,
        class_map_id=class_map.class_map_id,
        mlflow_run_id=version.run_id,
        snapshots={known.table: known.version},
        committed=found is None,
    )
    return told(report)


def _names(lake: Lake, species: Snapshot) -> dict[str, str]:
    """Return the scientific name of every species that the lake knows; without a name, its id."""
    rows = query.answer(lake, "labels/current_species", [species])
    return dict(zip(rows["species_id"].to_pylist(), rows["scientific_name"].to_pylist(), strict=True))


def _register(
    registry: "Registry",
    name: str,
    source: "TimmCheckpoint",
    head: "TrainedHead",
    lake: Lake,
    species: Snapshot,
    tags: dict[str, str],
) -> "Version":
    """Log what was imported in an MLflow run, and register the head."""
    from modeling.registry import TableRead

    class_map = head.class_map
    tags = {
        **tags,
        "checkpoint": source.path.name,
        "species": str(len(class_map)),
        "snapshots": tables.describe([species]),
        "code": code_version(),
    }
    params = {
        **asdict(source.architecture),
        "image_size": source.architecture.image_size,
        "checkpoint": source.path.name,
        "head": "linear",
        "poolings": "+".join(head.poolings),
        "backbone": head.backbone,
        "embedding_key": head.embedding_key,
    }
    digest = tables.digest(class_map.scientific_names)
    with registry.run(name, f"import {source.path.name}", {"checkpoint": source.path.name}) as run:
        run.log(params, {})
        run.log_tables([TableRead(species.table, lake.uri(species.table), species.version, digest)])
        words = f"{len(class_map)} species, the classifier of {source.path.name}, which timm has trained"
        return registry.register(name, run, registry.log(run, head), tags, words)
