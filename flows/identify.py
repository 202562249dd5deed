"""Species of photographs at hand, by a registered model. Writes nothing, needs no data set."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel

from flows import settings
from flows.predict import at_tilings_of, rule_in, usual_rule
from lake import decisions
from lake.decisions import Scope
from lake.rules import MANY, ONE, DecisionRule

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # the answer and its runners-up, as the registered model gives them


class NamedSpecies(BaseModel):
    """One species of an answer."""

    species_id: str
    scientific_name: str
    probability: float  # 0 to 1: mean over tiles for one species, best tile for many
    votes: int  # tiles whose best species it is
    is_answer: bool


class Identified(BaseModel):
    """What one photograph, or one observation of several, shows."""

    images: list[str]
    species: list[NamedSpecies]
    errors: list[str]


class IdentifyReport(BaseModel):
    """The answers to some photographs, in the order in which they were given."""

    model_version: str
    scheme_id: str
    rule: dict[str, object]
    observations: list[Identified]

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{self.model_version} at {self.scheme_id}"]
        for observation in self.observations:
            lines.append(", ".join(observation.images))
            lines += [f"  {error}" for error in observation.errors]
            for found in observation.species:
                tiles = f", {found.votes} tiles" if self.scheme_id != "whole" else ""
                mark = "*" if found.is_answer else " "
                lines.append(f"  {mark} {found.probability:.3f}  {found.scientific_name} [{found.species_id}{tiles}]")
        return lines


def identify(
    images: Sequence[Path],
    model: str,
    place: settings.Settings,
    species: str | None = None,
    together: bool = False,
    backbone: str | None = None,
    rule_file: Path | None = None,
    tiling: str | None = None,
) -> IdentifyReport:
    """Name the species of photographs.

    Args:
        images: Files.
        model: NAME, NAME@alias or NAME/VERSION.
        place: Settings: tiling and decision rule.
        species: one or many species a photograph; by default many where a tiling is asked for, else one.
        together: Whether the photographs show one observation.
        backbone: Where the model's backbone is now, if not where it was in training.
        rule_file: A decision rule (TOML), in the place of that of the settings.
        tiling: That is asked for here: it goes before that of the rule, and that before the settings'.

    Raises:
        SettingsError: If the rule asks for what only a data set has: priors, dates, venomous species, a mean number.
    """
    from modeling.registry import Registry

    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    is_asked = "tiling" in place.model_fields_set
    place = at_tilings_of(version, place)
    if rule_file is None:
        kind = species or (MANY if is_asked and place.tiling != "whole" else ONE)
        rule = usual_rule(place, kind) if kind == MANY else DecisionRule(kind, candidates=_SHOWN)
    else:
        rule = rule_in(rule_file)
        if rule.priors or rule.grouping or rule.cost or rule.venomous_share:
            raise settings.SettingsError(
                f"{rule_file} asks for priors, dates of quadrats or venomous species, which only a data set has: "
                f"ingest the photographs and predict them"
            )
        if rule.mean_species is not None:
            raise settings.SettingsError(
                f"{rule_file} keeps mean_species = {rule.mean_species:g} in the mean of all that is answered together, "
                f"so that a photograph would be answered otherwise alone than in company: say threshold = X in its "
                f"place; the file that a sweep writes, and its report, tell the one that the mean came to"
            )
        if rule.tilings and tiling is None:
            place = place.model_copy(update={"tiling": rule.tilings})
        rule = replace(rule, tilings=place.tiling)
    served = registry.model(version, backbone, None if place.device == "auto" else place.device)
    rows = served.predict([str(path) for path in images], params={"tiling": place.tiling, "top_k": place.tile_top_k})
    good, bad = rows[rows["error"].isna()], rows[rows["error"].notna()]
    owners = ["0" if together else str(position) for position in range(len(images))]
    answers = _decide(good, owners, place.tiling, version.recorded_as, rule)
    names = dict(zip(good["species_id"], good["scientific_name"], strict=True))
    return IdentifyReport(
        model_version=version.model_version,
        scheme_id=place.tiling,
        rule=rule.spec,
        observations=[
            Identified(
                images=[str(path) for path, owner in zip(images, owners, strict=True) if owner == observation],
                species=[
                    NamedSpecies(
                        species_id=row["species_id"],
                        scientific_name=names[row["species_id"]],
                        probability=row["score"],
                        votes=row["votes"],
                        is_answer=row["is_answer"],
                    )
                    for row in answers
                    if row["observation_id"] == observation
                ],
                errors=[
                    f"{images[position]}: {text}"
                    for position, text in zip(bad["image"], bad["error"], strict=True)
                    if owners[position] == observation
                ],
            )
            for observation in dict.fromkeys(owners)
        ],
    )


def _decide(
    rows: "pd.DataFrame", owners: list[str], scheme_id: str, model_version: str, rule: DecisionRule
) -> list[dict[str, Any]]:
    """Apply the rule, by the same SQL that answers data sets, to predictions that no table holds.

    Args:
        rows: One row per (image, tile_index, rank), image being a position in ``owners``.
        owners: The observation of each photograph.
        scheme_id: How the photographs were cut.
        model_version: Who predicted.
        rule: One species or many.
    """
    count = len(rows)
    frames = {
        "image_records": pa.table(
            {
                "dataset": pa.array(["identify"] * len(owners), pa.string()),
                "image_id": pa.array([str(position) for position in range(len(owners))], pa.string()),
                "observation_id": pa.array(owners, pa.string()),
            }
        ),
        "tile_predictions": pa.table(
            {
                "model_version": pa.array([model_version] * count, pa.string()),
                "scheme_id": pa.array(rows["scheme_id"], pa.string()),
                "image_id": pa.array(rows["image"].astype(str), pa.string()),
                "tile_index": pa.array(rows["tile_index"], pa.int32()),
                "rank": pa.array(rows["rank"], pa.int32()),
                "species_id": pa.array(rows["species_id"], pa.string()),
                "probability": pa.array(rows["probability"], pa.float32()),
            }
        ),
    }
    scope = Scope("identify", "all", pa.table({"observation_id": pa.array(sorted(set(owners)), pa.string())}))
    answers: list[dict[str, Any]] = decisions.answer(
        None, (), frames, scope, scheme_id, model_version, rule
    ).to_pylist()
    return answers
