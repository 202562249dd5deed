"""Photographs of seedlings that come into a folder, season by season."""

import csv
import random
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from flows import settings
from flows.embed import embed
from flows.ingest import ingest_table
from flows.predict import predict
from flows.train import train
from modeling.registry import Registry

DATASET = MODEL = "seedlings"
COLUMNS = ("image", "species_id", "observation", "split", "scientific_name")


@dataclass(frozen=True)
class Season:
    """A folder that is watched, and the photographs that come into it."""

    folder: Path
    source: Path
    rows: dict[str, list[dict[str, str]]]  # by species, in the order in which they come

    @property
    def table(self) -> Path:
        """The table of the folder, which names its photographs."""
        return self.folder / "labels.csv"

    @property
    def ingest(self) -> list[str]:
        """The words that take the folder in for the first time."""
        return [
            *("ingest", "table", str(self.table), "--dataset", DATASET, "--image-column", "image"),
            *("--species-column", "species_id", "--observation-column", "observation"),
            *("--split-column", "split", "--name-column", "scientific_name"),
        ]

    def drop(self, learnt: int, held_out: int, calls: dict[str, str] | None = None) -> int:
        """Have the folder hold so many photographs of each species, perhaps under the names of others; return them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for found in self.rows.values()
            for split, count in (("train", learnt), ("test", held_out))
            for row in [row for row in found if row["split"] == split][:count]
        ]
        for row in rows:
            if not (self.folder / row["image"]).exists():
                shutil.copy(self.source / row["path"], self.folder / row["image"])
        # Written beside it and put in its place: whoever looks sees the old table or the new one.
        new = self.folder.parent / "new.csv"
        with new.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(
                {**row, "species_id": (calls or {}).get(row["species_id"], row["species_id"])} for row in rows
            )
        new.replace(self.table)
        return len(rows)

    @property
    def turned(self) -> dict[str, str]:
        """Each species by the name of another one."""
        names = sorted(self.rows)
        return dict(zip(names, names[1:] + names[:1], strict=True))


def of_seedlings(shared: Path, folder: Path, species: int) -> Season:
    """Return a season of real seedlings: 60 photographs to learn from and 20 to judge by, of each species."""
    source = shared / "plant-seedlings12"
    rows = defaultdict(list)
    with (source / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            image = Path(row["path"]).name
            rows[row["label"]].append(
                {**row, "image": image, "species_id": row["label"], "observation": image.partition(".")[0]}
            )
    for found in rows.values():
        random.Random(0).shuffle(found)
    return Season(folder, source, dict(sorted(rows.items())[:species]))


def begin(season: Season, shared: Path, home: Path, first: tuple[int, int]) -> Path:
    """Make a home with a champion that has learnt from the first photographs and has answered."""
    season.drop(*first)
    ingest_table.fn(season.table, DATASET, "image", "species_id", "observation", "split", "scientific_name", home=home)
    embed.fn(DATASET, str(shared / "vit-tiny-dinov2"), home=home)
    train.fn(DATASET, MODEL, home=home, recipe={"head": "discriminant"})
    predict.fn(DATASET, MODEL, home=home)
    return home


def registry_of(home: Path) -> Registry:
    """The registry of a home."""
    return Registry(settings.load(home=home).registry_uri)
