"""Which species an observation shows, and which photographs are learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa

from lake import query, tables
from lake.tables import Lake, Snapshot

EXAMPLE_TABLES = ("image_records", "labels", "taxon_changes", "splits", "species")


@dataclass(frozen=True)
class Taxon:
    """What is known of a species."""

    scientific_name: str
    genus: str | None
    family: str | None
    is_venomous: bool | None


@dataclass(frozen=True)
class TrainingExamples:
    """Labelled photographs of single organisms, with their side of the split: N rows ordered by image."""

    image_ids: list[str]
    observation_ids: list[str]
    species_ids: list[str]
    splits: list[str]  # train or val
    country_codes: list[str | None]
    taxa: dict[str, Taxon]  # by species_id
    several: int  # observations with several species, which are left out
    snapshots: tuple[Snapshot, ...]

    @property
    def digest(self) -> str:
        """Hash of the rows: the same digest means the same examples, whatever the versions."""
        return tables.digest([self.image_ids, self.observation_ids, self.species_ids, self.splits])


def current(lake: Lake, dataset: str, snapshots: Sequence[Snapshot] = ()) -> pa.Table:
    """Return the species that hold for each observation, in the taxonomy of the time: observation_id, species_id.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        snapshots: ``labels`` and ``taxon_changes``; as they stand now by default.
    """
    with query.session(lake, snapshots or tables.latest(lake, "labels", "taxon_changes")) as ask:
        return current_in(ask, dataset)


def current_in(ask: query.Session, dataset: str) -> pa.Table:
    """Return the same from an engine that sees ``labels`` and ``taxon_changes``."""
    ask.show("current_labels", ask.answer("labels/current_labels", dataset=dataset))
    ask.show("current_changes", ask.answer("labels/current_changes"))
    ask.show("accepted_species", ask.answer("labels/accepted_species"))
    return ask.answer("labels/accepted_labels")


def accepted_species(lake: Lake, changes: Snapshot) -> pa.Table:
    """Return what became of species that were renamed, merged or split: species_id, accepted_id (null if split)."""
    with query.session(lake, [changes]) as ask:
        ask.show("current_changes", ask.answer("labels/current_changes"))
        return ask.answer("labels/accepted_species")


def training_examples(lake: Lake, dataset: str, split_id: str, snapshots: Sequence[Snapshot] = ()) -> TrainingExamples:
    """Return the photographs that a single-label head may learn from or be validated on.

    Quadrats (observations of several species) are left out, and so is every image whose bytes are also held out
    for testing under another name.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        split_id: Who is on which side.
        snapshots: Of the five tables that are read, in the order of ``EXAMPLE_TABLES``; as they stand now by default.
    """
    records, labels, changes, splits, species = snapshots or tables.latest(lake, *EXAMPLE_TABLES)
    holding = current(lake, dataset, (labels, changes))
    sizes = query.answer(None, "labels/species_per_observation", frames={"current_labels": holding})
    rows = query.answer(
        lake,
        "training/training_examples",
        [records, splits],
        {
            "current_labels": holding,
            "current_species": query.answer(lake, "labels/current_species", [species]),
        },
        dataset=dataset,
        split_id=split_id,
    )
    of = {name: rows[name].to_pylist() for name in rows.column_names}
    taxa = (Taxon(*taxon) for taxon in zip(*(of[field.name] for field in fields(Taxon)), strict=True))
    return TrainingExamples(
        of["image_id"],
        of["observation_id"],
        of["species_id"],
        of["split"],
        of["country_code"],
        dict(zip(of["species_id"], taxa, strict=True)),
        sizes["with_several"][0].as_py(),
        (records, labels, changes, splits, species),
    )
