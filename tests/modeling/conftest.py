import json
import os
import shutil

# Before anything imports the libraries that read these.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from drawn_photographs import plain

from modeling import backbones
from modeling.backbones import Backbone
from modeling.class_map import ClassMap
from modeling.embedding import EncodedImage, embed
from modeling.heads import TrainedHead, join
from modeling.heads.linear import LinearHead
from modeling.registry import Registry

COLOURS = {"11": "red", "22": "lime", "33": "blue"}  # species_id to the colour of its drawn photographs
POOLINGS = ("cls", "mean_patch")


@pytest.fixture(scope="session")
def real_backbone_folder(shared: Path) -> Path:
    folder = shared / "vit-tiny-dinov2"
    if not folder.is_dir():
        pytest.skip(f"real weights are not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def real_backbone(real_backbone_folder: Path) -> Backbone:
    return Backbone(backbones.find(str(real_backbone_folder)), "float32", "cpu")


@pytest.fixture(scope="session")
def real_photographs(shared: Path) -> list[bytes]:
    """One photograph of each species."""
    folder = shared / "plant-seedlings12" / "images"
    if not folder.is_dir():
        pytest.skip(f"real photographs are not here: {folder}")
    first_of = {path.parent: path for path in sorted(folder.rglob("*.png"), reverse=True)}
    return [path.read_bytes() for path in first_of.values()]


@pytest.fixture(scope="session")
def real_mosaics(shared: Path) -> list[Path]:
    """Quadrats that were put together from real photographs."""
    folder = shared / "seedling-mosaics24" / "plots"
    if not folder.is_dir():
        pytest.skip(f"real mosaics are not here: {folder}")
    return sorted(folder.glob("*.jpg"))


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backbones.save_untrained(tmp_path_factory.mktemp("backbones") / "untrained")


@pytest.fixture(scope="session")
def backbone(backbone_folder: Path) -> Backbone:
    return Backbone(backbones.find(str(backbone_folder)), "float32", "cpu")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Save a transformers model and the steps of its image processor, as a download from the hub looks."""

    def save(model: Any, size: int, **steps: object) -> Path:
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        usual = {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": size},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": {"height": size, "width": size},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.25, 0.25, 0.25],
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(usual | steps))
        return folder

    return save


@pytest.fixture(scope="session")
def head(backbone: Backbone, backbone_folder: Path) -> TrainedHead:
    """A head that names the colour of what it sees."""
    pictures = [EncodedImage(species, plain(colour)) for species, colour in COLOURS.items()]
    features = torch.from_numpy(join(embed(pictures, backbone).vectors, POOLINGS))
    network = LinearHead(features.shape[1], len(COLOURS))
    network.standardise(features)
    with torch.no_grad():
        # Each class looks like its own picture, faintly, so that no probability is quite 0 or 1.
        network.layer.weight.copy_(0.02 * (features - network.mean) / network.std)
    spec = backbone.spec
    return TrainedHead(network.eval(), ClassMap.of(COLOURS), spec.key, spec.json, str(backbone_folder), POOLINGS)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry's database, to be copied: making one takes seconds."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    Registry(f"sqlite:///{file}").names()
    yield file
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def registry_in(folder: Path, empty_database: Path) -> Registry:
    shutil.copy(empty_database, folder / "mlflow.db")
    return Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Registry:
    """A registry for all tests, each of which uses names of its own."""
    return registry_in(tmp_path_factory.mktemp("registry"), empty_database)


@pytest.fixture
def new_registry(tmp_path: Path, empty_database: Path) -> Registry:
    """A registry in ``tmp_path`` that holds nothing yet."""
    return registry_in(tmp_path, empty_database)
