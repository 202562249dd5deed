"""Which species an observation shows, and on which side of a split it stands."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from lake import query, tables
from lake.errors import LakeError
from lake.schemas import TABLES
from lake.tables import Appended, Lake, Snapshot


@dataclass(frozen=True)
class SplitRecipe:
    """How observations that carry no split of their own are divided."""

    val_fraction: float = 0.2  # of the training observations, where the source gives no val
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction <= 0.5:
            raise LakeError(f"a validation share of {self.val_fraction} makes no sense; it lies above 0 and up to 0.5")

    def split_id(self, dataset: str) -> str:
        """The name of the split: data set, share and seed."""
        return f"{dataset}-val{self.val_fraction * 100:g}-seed{self.seed}"


@dataclass(frozen=True)
class TrainingExamples:
    """Labelled photographs of single organisms, with their side of the split: N rows ordered by image."""

    image_ids: list[str]
    species_ids: list[str]
    splits: list[str]  # train or val
    names: dict[str, str]  # species_id -> scientific name
    several: int  # observations with several species, which are left out
    snapshots: tuple[Snapshot, ...]

    @property
    def digest(self) -> str:
        """Hash of the rows: the same digest means the same examples, whatever the versions."""
        return tables.digest([self.image_ids, self.species_ids, self.splits])


def current(lake: Lake, dataset: str, labels: Snapshot | None = None) -> pa.Table:
    """Return the species that hold now for each observation: observation_id, species_id."""
    snapshot = tables.latest(lake, "labels")[0] if labels is None else labels
    return query.answer(lake, "labels/current_labels", [snapshot], dataset=dataset)


def assign_splits(lake: Lake, dataset: str, recipe: SplitRecipe, flow_run_id: str) -> Appended:
    """Give every labelled observation that has none its place in the split; those that have one keep it."""
    records, labels, splits = tables.latest(lake, "image_records", "labels", "splits")
    waiting = query.answer(
        lake,
        "pending/observations_to_split",
        [splits],
        {
            "tags": query.answer(lake, "labels/observation_tags", [records], dataset=dataset),
            "current_labels": current(lake, dataset, labels),
        },
        split_id=recipe.split_id(dataset),
        val_fraction=recipe.val_fraction,
        seed=str(recipe.seed),
    )
    constants = {
        "split_id": recipe.split_id(dataset),
        "assigned_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    schema = TABLES["splits"].columns
    for name, value in constants.items():
        column = pa.repeat(pa.scalar(value, schema.field(name).type), waiting.num_rows)
        waiting = waiting.append_column(name, column)
    return tables.append(lake, "splits", waiting, splits)


def training_examples(lake: Lake, dataset: str, split_id: str) -> TrainingExamples:
    """Return the photographs that a single-label head may learn from or be validated on.

    Quadrats (observations of several species) are left out, and so is every image whose bytes are also held out
    for testing under another name.
    """
    records, labels, splits, species = tables.latest(lake, "image_records", "labels", "splits", "species")
    holding = current(lake, dataset, labels)
    sizes = query.answer(None, "labels/species_per_observation", frames={"current_labels": holding})
    rows = query.answer(
        lake,
        "training/training_examples",
        [records, splits, species],
        {"current_labels": holding},
        dataset=dataset,
        split_id=split_id,
    )
    ids, names = rows["species_id"].to_pylist(), rows["scientific_name"].to_pylist()
    return TrainingExamples(
        rows["image_id"].to_pylist(),
        ids,
        rows["split"].to_pylist(),
        dict(zip(ids, names, strict=True)),
        sizes["with_several"][0].as_py(),
        (records, labels, splits, species),
    )
