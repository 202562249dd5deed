"""What a training learns from: which photographs on which side, which classes, which vectors."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from flows.audit import ensure_hashed
from flows.embed import embed, ensure_embedded
from flows.orchestration import run_subflow, say
from flows.settings import Settings
from lake import embeddings, labels, splits, tables
from lake.embeddings import KnownKey
from lake.errors import LakeError
from lake.labels import TrainingExamples
from lake.tables import Snapshot
from modeling import backbones
from modeling.backbones import BackboneFiles
from modeling.class_map import ClassMap
from modeling.errors import BackboneError, TrainingError
from modeling.problem import Problem
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.examples import Examples
    from modeling.registry import Version


@dataclass(frozen=True)
class Inputs:
    """All that a training depends on beside its recipe."""

    dataset: str
    split_id: str
    photographs: TrainingExamples
    class_map: ClassMap
    train_counts: dict[str, int]  # photographs by species, dropped ones too
    used: KnownKey
    vectors: Snapshot

    @property
    def dropped(self) -> dict[str, int]:
        """Species with too few training photographs, with how many they have."""
        return {species: n for species, n in self.train_counts.items() if species not in self.class_map.index}

    @property
    def digest(self) -> str:
        """Hash of everything that the examples and the problem are made of, but for the vectors."""
        return tables.digest([[self.photographs.digest, repr(self.problem(0))]])

    def problem(self, dimension: int) -> Problem:
        """Return what there is to tell apart by features of some dimension."""
        taxa = [self.photographs.taxa[species] for species in self.class_map.species_ids]
        genera, families = tuple(taxon.genus for taxon in taxa), tuple(taxon.family for taxon in taxa)
        knows_venom = any(taxon.is_venomous is not None for taxon in taxa)
        return Problem(
            dimension,
            tuple(self.train_counts[species] for species in self.class_map.species_ids),
            genera if any(genera) else (),
            families if any(families) else (),
            tuple(bool(taxon.is_venomous) for taxon in taxa) if knows_venom else (),
        )


@dataclass(frozen=True)
class Gathered:
    """The examples of a training, those of training first."""

    examples: "Examples"
    image_ids: list[str]  # (N) of each example
    scheme_ids: list[str]  # (N) that cut it
    observation_ids: list[str]  # by the number that the examples know an observation by


def gather(
    place: Settings,
    dataset: str,
    recipe: Recipe,
    backbone: str | None,
    champion: "Version | None",
    run_id: str,
) -> Inputs:
    """Bring embeddings and split up to date and return what there is to learn from now."""
    used = _embeddings(place, dataset, recipe.tilings, backbone, champion, run_id)
    split = place.split_recipe
    if split.group_by == "near_duplicate":
        ensure_hashed(place, dataset, run_id)
    splits.assign(place.lake, dataset, split, run_id)
    split_id = split.split_id(dataset)
    photographs = labels.training_examples(place.lake, dataset, split_id)
    if photographs.several:
        say(f"left out: {photographs.several} observations that hold several species")
    (vectors,) = tables.latest(place.lake, "embeddings")
    return inputs_of(dataset, split_id, photographs, used, vectors, recipe)


def inputs_of(
    dataset: str,
    split_id: str,
    photographs: TrainingExamples,
    used: KnownKey,
    vectors: Snapshot,
    recipe: Recipe,
) -> Inputs:
    """Return the inputs of a training on some photographs: classes are the species with enough of them in training.

    Raises:
        TrainingError: If that leaves fewer than two species.
    """
    sides = zip(photographs.species_ids, photographs.splits, strict=True)
    counts = Counter(species for species, split in sides if split == "train")
    kept = [species for species, count in counts.items() if count >= recipe.min_images]
    if len(kept) < 2 <= len(counts):
        raise TrainingError(
            f"min_images = {recipe.min_images} leaves {len(kept)} of {len(counts)} species of {dataset!r} to tell "
            f"apart; the second most frequent one has {counts.most_common(2)[1][1]} training photographs"
        )
    class_map = ClassMap.of({species: photographs.taxa[species].scientific_name for species in kept})
    return Inputs(dataset, split_id, photographs, class_map, dict(counts), used, vectors)


@contextmanager
def examples_of(place: Settings, inputs: Inputs, recipe: Recipe) -> Iterator[Gathered]:
    """Yield the examples.

    The matrix lies in memory, or in a file that is mapped where it is larger than the setting ``train_bytes``.
    """
    from modeling.examples import Examples, require_sense

    seen = inputs.photographs
    rows = zip(seen.image_ids, seen.observation_ids, seen.species_ids, seen.splits, strict=True)
    usable = [row for row in rows if row[2] in inputs.class_map.index]
    # Training first: each side of the matrix is then one piece.
    usable.sort(key=lambda row: (row[3] == "val", row[0], row[1]))
    place_of = {image_id: at for at, (image_id, *_) in enumerate(usable)}
    tiles = embeddings.tiles_of(
        place.lake, inputs.vectors, inputs.used.embedding_key, recipe.tilings, list(place_of), recipe.poolings
    )
    missing = len(seen.image_ids) - len(set(tiles.image_ids))
    if missing:
        say(f"left out: {missing} photographs without vectors, or of species that are not learnt")
    shape = (len(tiles), sum(tiles.lengths.values()))
    with TemporaryDirectory(prefix="taxalake-examples-") as folder:
        if 4 * math.prod(shape) <= place.train_bytes:
            matrix = np.empty(shape, np.float32)
        else:
            matrix = np.memmap(Path(folder) / "features.f32", np.float32, "w+", shape=shape)
        embeddings.read_into(matrix, place.lake, inputs.vectors, inputs.used.embedding_key, tiles)
        photographs = np.array([place_of[image_id] for image_id in tiles.image_ids], dtype=np.int64)
        names = sorted({row[1] for row in usable})
        number_of = {name: number for number, name in enumerate(names)}
        targets = np.array([inputs.class_map.index[row[2]] for row in usable], dtype=np.int64)
        held_out = np.array([row[3] == "val" for row in usable], dtype=bool)
        observations = np.array([number_of[row[1]] for row in usable], dtype=np.int64)
        examples = Examples(matrix, targets[photographs], held_out[photographs], observations[photographs])
        # Before an MLflow run begins.
        require_sense(examples, inputs.problem(shape[1]))
        yield Gathered(examples, tiles.image_ids, tiles.scheme_ids, names)


def _embeddings(
    place: Settings,
    dataset: str,
    tilings: Sequence[str],
    backbone: str | None,
    champion: "Version | None",
    run_id: str,
) -> KnownKey:
    """Return the embeddings to learn from: those that are there, else those of the backbone asked for, made now.

    Among several that are there: those of the weights asked for, else those that the champion learnt from, else the
    ones with the most and newest vectors.
    """
    lake = place.lake
    embeddings.require_dataset(lake, dataset)
    # A tiling that nothing has vectors at yet is embedded by what has made those at others.
    schemes = dict.fromkeys([*tilings, *place.tilings, "whole"])
    known = next(filter(None, (embeddings.known_keys(lake, dataset, scheme) for scheme in schemes)), [])
    if backbone is not None:
        known = _made_by(backbones.find(backbone), known)
    elif champion is not None:
        known.sort(key=lambda key: key.embedding_key != champion.tags["embedding_key"])
    if known:
        used = known[0]
        wanted = place.model_copy(update={"tiling": "+".join(tilings)})
        ensure_embedded(wanted, dataset, used.spec, used.backbone, run_id)
        return used
    made = run_subflow(embed, dataset, backbone, list(tilings), home=place.home)
    known = [key for key in embeddings.known_keys(lake, dataset, tilings[0]) if key.embedding_key == made.embedding_key]
    if not known:
        images = made.schemes[tilings[0]].images
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
