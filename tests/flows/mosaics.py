"""Quadrats for quick sweeps and scores: mosaics of coloured squares, two to four species each, beside single plants."""

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from coloured import COLOURS, NAMES, new_home
from PIL import Image

from flows.ingest import ingest_table
from flows.train import train

SIDE = 3  # squares
SQUARE_PX = 24
_UNSURE = (1, 4, 6, 7)  # squares that a model may take for something else
_PLANTS = ("image", "species_id", "observation", "split", "scientific_name")
_QUADRATS = ("image", "species_ids", "quadrat", "split")
# Twelve quadrats: every pair of four species, twice over.
TRUTH = {f"Q{number:02}": pair for number, pair in enumerate([*combinations(COLOURS, 2)] * 2, start=1)}


def trained_home(empty_home: Path, home: Path, backbone: str, names: Mapping[str, str] = NAMES) -> Path:
    """Make a home in which a model ``m`` has learnt four species of ``plants``, a data set with a test side."""
    new_home(empty_home, home)
    folder = home.parent / "plants"
    rows = []
    for species in COLOURS:
        for number, side in enumerate(["train"] * 5 + ["test"] * 3):
            draw_plant(folder / f"{species}-{number}.png", species, number)
            rows.append((f"{species}-{number}.png", species, f"{species}-{number}", side, names[species]))
    _write(folder / "table.csv", _PLANTS, rows)
    ingest_table.fn(folder / "table.csv", "plants", *_PLANTS, home=home)
    train.fn("plants", "m", backbone, home, {"head": "nearest"})
    return home


def lay(
    home: Path,
    dataset: str,
    truth: Mapping[str, Sequence[str]] = TRUTH,
    labels: Mapping[str, Sequence[str]] | None = None,
    sides: Sequence[str] = (),
) -> Path:
    """Draw quadrats, take them in and return their folder; the same ones are the same photographs in any data set.

    Args:
        home: The home.
        dataset: Their data set.
        truth: The species that each shows.
        labels: What is said to be there, if not the truth; of one that is not named nothing.
        sides: Of the split, by turns.
    """
    folder = home.parent / "quadrats"
    folder.mkdir(exist_ok=True)
    said = truth if labels is None else labels
    rows = []
    for number, (quadrat, species) in enumerate(truth.items()):
        if not (folder / f"{number}.png").exists():
            _mosaic(species, number).save(folder / f"{number}.png")
        side = sides[number % len(sides)] if sides else ""
        rows.append((f"{number}.png", "|".join(said.get(quadrat, ())), quadrat, side))
    _write(folder / f"{dataset}.csv", _QUADRATS, rows)
    ingest_table.fn(folder / f"{dataset}.csv", dataset, *_QUADRATS, species_separator="|", home=home)
    return folder


def draw_plant(path: Path, species: str, number: int) -> None:
    """Draw a photograph of a single plant; another number is another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _square(species, number).save(path)


def another_lake(home: Path, name: str) -> dict[str, str]:
    """Copy the tables of a home and return the setting that has a command read and write the copy."""
    to = home.parent / name
    shutil.copytree(home / "lake", to)
    return {"TAXALAKE_LAKE_URI": str(to)}


def write_rule(path: Path, text: str) -> Path:
    """Write a rule file."""
    path.write_text(text)
    return path


def _mosaic(species: Sequence[str], number: int) -> Image.Image:
    """Return squares of the species by turns, and four that lie between one of them and another one."""
    others = [one for one in COLOURS if one not in species]
    mosaic = Image.new("RGB", (SIDE * SQUARE_PX, SIDE * SQUARE_PX))
    for place in range(SIDE * SIDE):
        other = others[number % len(others)] if place in _UNSURE and others else None
        square = _square(species[place % len(species)], 100 * (number + 1) + place, other)
        mosaic.paste(square, (SQUARE_PX * (place % SIDE), SQUARE_PX * (place // SIDE)))
    return mosaic


def _square(species: str, number: int, other: str | None = None) -> Image.Image:
    colour = np.array(COLOURS[species], dtype=np.float64)
    random = np.random.default_rng([int(species), number])
    if other is not None:
        share = random.uniform(0.3, 0.8)
        colour = (1 - share) * colour + share * np.array(COLOURS[other])
    noise = random.normal(0, 30, (SQUARE_PX, SQUARE_PX, 3))
    return Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
