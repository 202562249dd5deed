"""A place for quick trainings: photographs of species that differ in colour, and a database for MLflow."""

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from homes import content
from PIL import Image

from flows.ingest import ingest_table
from lake.tables import Lake
from modeling.registry import Registry

# Ids whose order as text is not that of their numbers, and not that of their names.
COLOURS = {"10": (190, 70, 60), "2": (70, 170, 70), "9": (60, 80, 190), "33": (190, 190, 60)}
NAMES = {"10": "Poa rubra", "2": "Poa viridis", "9": "Aster caeruleus", "33": "Crepis flava"}
QUICK = {"max_epochs": 12, "learning_rate": 0.02}
USUAL = {"device": "cpu", "dtype": "float32", "compile": "never", "probe_photographs": 4}
_COLUMNS = ("image", "species_id", "observation", "split", "scientific_name")
Row = tuple[str, str, str]  # species, observation, side


def rows(species: str, train: int, val: int = 0, side: str | None = None) -> list[Row]:
    """Observations of one species, so many for each side of the split; or all with one tag, such as none."""
    sides = ["train"] * train + ["val"] * val
    return [(species, f"{species}-{number}", side if side is not None else tag) for number, tag in enumerate(sides)]


def take_in(home: Path, observations: Iterable[Row], dataset: str = "d") -> None:
    """Draw a photograph of each observation and take them in; one that was drawn before is drawn alike."""
    folder = home.parent / f"{home.name}-{dataset}"
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for species, observation, side in observations:
            # Which colour an observation has is said by its own name: a label may be wrong.
            _draw(folder / f"{observation}.png", observation)
            writer.writerow([f"{observation}.png", species, observation, side, NAMES[species]])
    ingest_table.fn(table, dataset, *_COLUMNS, home=home)


def settle(home: Path, **values: object) -> None:
    """Write the settings of a place; processes of their own read them too."""
    home.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in {**USUAL, **values}.items()]
    (home / "taxalake.toml").write_text("".join(lines))


def new_home(empty_home: Path, home: Path) -> Path:
    """Make a home that has settings and an empty registry."""
    shutil.copytree(empty_home, home)
    settle(home)
    return home


def copied(home: Path, to: Path) -> Path:
    """Copy a home in which nothing was trained: MLflow keeps absolute paths."""
    assert not (home / "mlartifacts").exists()
    return shutil.copytree(home, to)


def registry(home: Path) -> Registry:
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")


def lake_of(home: Path) -> Lake:
    return Lake(str(home / "lake"))


def image_of(home: Path) -> dict[str, str]:
    """The image of each observation."""
    return {row["observation_id"]: row["image_id"] for row in content(home, "image_records")}


def _draw(path: Path, observation: str) -> None:
    species, _, number = observation.partition("-")
    noise = np.random.default_rng([int(species), int(number)]).normal(0, 30, (24, 24, 3))
    Image.fromarray(np.clip(np.array(COLOURS[species]) + noise, 0, 255).astype(np.uint8)).save(path)
