"""How good a head is, seen from beside its training: scores of each species, baselines, calibration, figures."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flows.orchestration import in_flow_run
from flows.prefect_pages import show_figures
from flows.settings import Settings
from flows.train_inputs import Gathered, Inputs
from lake import baselines, embeddings, species_scores, tables

if TYPE_CHECKING:
    from modeling.training import Fitted
    from modeling.training_figures import Confusion

_SHOWN = ("confusions", "embedding-map")  # by Prefect too: what says most to who only looks
_CONFUSIONS = 1000  # pairs that are listed; the first of them are drawn
_MODEL = "model"


@dataclass(frozen=True)
class Judgement:
    """The validation observations, scored by the questions that score everything else."""

    scores: dict[str, dict[str, float]]  # of the model, and of who never looks at a photograph
    per_species: pa.Table
    confusions: pa.Table
    calibration_errors: tuple[float, float]  # before and after the temperature

    @property
    def metrics(self) -> dict[str, float]:
        """The scores of the model and its calibration, as MLflow takes them."""
        before, after = self.calibration_errors
        own = {f"val_{metric}": value for metric, value in self.scores[_MODEL].items() if metric != "top5_accuracy"}
        return own | {"val_ece_uncalibrated": before, "val_ece": after}

    @property
    def beside(self) -> dict[str, dict[str, float]]:
        """The scores of the trivial baselines."""
        return {name: scores for name, scores in self.scores.items() if name != _MODEL}


def judge(inputs: Inputs, gathered: Gathered, fitted: "Fitted") -> Judgement:
    """Score what a head answers to the validation observations, beside what anybody would answer blindly."""
    found = fitted.answers
    species = np.array(inputs.class_map.species_ids, dtype=object)
    names = [gathered.observation_ids[number] for number in found.observations]
    answers = pa.table({"observation_id": names, "species_id": species[found.best], "probability": found.probabilities})
    truth = pa.table({"observation_id": names, "species_id": species[found.truth]})
    taxa = inputs.photographs.taxa
    known = pa.table(
        {
            "species_id": pa.array(list(taxa), pa.string()),
            "is_venomous": pa.array([taxon.is_venomous for taxon in taxa.values()], pa.bool_()),
        }
    )
    blind = baselines.answers(_seen(inputs, "train"), _seen(inputs, "val", set(names)), known)
    counts = pa.table(
        {"species_id": list(inputs.train_counts), "train_count": list(inputs.train_counts.values())},
        schema=pa.schema([("species_id", pa.string()), ("train_count", pa.int64())]),
    )
    return Judgement(
        baselines.scores({_MODEL: answers.drop(["probability"]), **blind}, truth, known),
        species_scores.species_scores(answers, truth, counts),
        species_scores.confusions(answers, truth, _CONFUSIONS),
        fitted.confidence.errors,
    )


def draw(
    place: Settings, name: str, inputs: Inputs, gathered: Gathered, fitted: "Fitted", judgement: Judgement, folder: Path
) -> list[Path]:
    """Draw what people would rather look at, and write the table of species; return the files."""
    from modeling import calibration, training_figures

    sure, taxa = fitted.confidence, inputs.photographs.taxa
    rows = judgement.per_species.to_pylist()
    called = [taxa[row["species_id"]].scientific_name for row in rows]
    files = [
        _table(folder / "per-species.csv", judgement.per_species),
        _table(folder / "confusions.csv", judgement.confusions),
        training_figures.draw_reliability(
            calibration.reliability(sure.before, sure.is_right),
            calibration.reliability(sure.after, sure.is_right),
            *judgement.calibration_errors,
            f"{name}: how sure, how often right",
            folder / "reliability.png",
        ),
        training_figures.draw_per_species(
            called,
            np.array([row["f1"] for row in rows], dtype=np.float64),
            np.array([row["train_count"] for row in rows], dtype=np.int64),
            folder / "per-species.png",
        ),
        training_figures.draw_confusions(_confusions(place, inputs, judgement), folder / "confusions.png"),
        _map(name, inputs, gathered, fitted, folder / "embedding-map.png"),
    ]
    if in_flow_run():
        show_figures([folder / f"{shown}.png" for shown in _SHOWN], "train", name)
    return files


def _seen(inputs: Inputs, side: str, among: set[str] | None = None) -> pa.Table:
    """Return the observations of one side once each: observation_id, species_id, country_code."""
    seen = inputs.photographs
    rows = zip(seen.observation_ids, seen.species_ids, seen.country_codes, seen.splits, strict=True)
    wanted = {row[0]: row for row in rows if row[3] == side and (among is None or row[0] in among)}
    columns = zip(*wanted.values(), strict=True) if wanted else [[], [], [], []]
    names, species, countries, _ = (list(column) for column in columns)
    return pa.table(
        {"observation_id": names, "species_id": species, "country_code": countries},
        schema=pa.schema([(name, pa.string()) for name in ("observation_id", "species_id", "country_code")]),
    )


def _table(path: Path, rows: pa.Table) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rows.column_names)
        writer.writerows(row.values() for row in rows.to_pylist())
    return path


def _confusions(place: Settings, inputs: Inputs, judgement: Judgement) -> "list[Confusion]":
    """Return the most frequent confusions with a photograph of each side."""
    from modeling.training_figures import MOST_PAIRS, Confusion

    seen = inputs.photographs
    pairs = judgement.confusions.to_pylist()
    of_observation = dict(zip(reversed(seen.observation_ids), reversed(seen.image_ids), strict=True))
    sides = zip(seen.species_ids, seen.image_ids, seen.splits, strict=True)
    of_species = {species: image_id for species, image_id, side in sides if side == "train"}
    drawn = pairs[:MOST_PAIRS]
    wanted = {of_observation[pair["example_observation_id"]] for pair in drawn}
    wanted |= {of_species[pair["answered_id"]] for pair in drawn}
    (images,) = tables.latest(place.lake, "images")
    content = embeddings.images_of(place.lake, images, sorted(wanted)) if wanted else {}
    return [
        Confusion(
            seen.taxa[pair["species_id"]].scientific_name,
            seen.taxa[pair["answered_id"]].scientific_name,
            pair["observation_count"],
            content.get(of_observation[pair["example_observation_id"]]),
            content.get(of_species[pair["answered_id"]]),
        )
        for pair in pairs
    ]


def _map(name: str, inputs: Inputs, gathered: Gathered, fitted: "Fitted", path: Path) -> Path:
    """Draw the validation examples as embeddings and as logits."""
    from modeling import training_figures
    from modeling.judging import logits_of

    rows = np.flatnonzero(gathered.examples.is_validation)
    rows = rows[training_figures.map_sample(len(rows))]
    features = np.ascontiguousarray(gathered.examples.features[rows])
    before, _ = training_figures.embedding_map(features)
    after, method = training_figures.embedding_map(logits_of(fitted.network, features))
    targets = gathered.examples.class_indices[rows]
    names = [inputs.class_map.scientific_names[index] for index in targets]
    return training_figures.draw_embedding_map(
        after, names, f"{name}: {method} of embeddings and of logits", path, before
    )
