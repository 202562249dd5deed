"""Species of photographs at hand, by a registered model. Writes nothing, needs no data set."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel

from flows import settings
from lake import decisions
from lake.decisions import MANY, ONE, DecisionRule, Scope


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
) -> IdentifyReport:
    """Name the species of photographs.

    Args:
        images: Files.
        model: NAME, NAME@alias or NAME/VERSION.
        place: Settings: tiling and decision rule.
        species: one or many species a photograph; by default one for whole photographs, many for tiles.
        together: Whether the photographs show one observation.
        backbone: Where the model's backbone is now, if not where it was in training.
    """
    from modeling.registry import Registry

    version = Registry(place.registry_uri, place.artifacts)
    found = version.find(model)
    rule = DecisionRule(
        species or (ONE if place.tiling == "whole" else MANY),
        place.min_votes,
        place.min_probability,
        place.allow_empty,
    )
    served = version.model(found, backbone, None if place.device == "auto" else place.device)
    rows = served.predict([str(path) for path in images], params={"tiling": place.tiling, "top_k": place.tile_top_k})
    observation_of = ["0" if together else str(position) for position in range(len(images))]
    good = rows[rows["error"].isna()]
    names = dict(zip(good["species_id"], good["scientific_name"], strict=True))
    frames = {
        "image_records": pa.table(
            {
                "dataset": pa.array(["identify"] * len(images), pa.string()),
                "image_id": pa.array([str(position) for position in range(len(images))], pa.string()),
                "observation_id": pa.array(observation_of, pa.string()),
            }
        ),
        "tile_predictions": pa.table(
            {
                "model_version": pa.array([found.model_version] * len(good), pa.string()),
                "scheme_id": pa.array([place.tiling] * len(good), pa.string()),
                "image_id": pa.array(good["image"].astype(str), pa.string()),
                "tile_index": pa.array(good["tile_index"], pa.int32()),
                "rank": pa.array(good["rank"], pa.int32()),
                "species_id": pa.array(good["species_id"], pa.string()),
                "probability": pa.array(good["probability"], pa.float32()),
            }
        ),
    }
    scope = Scope("identify", "all", pa.table({"observation_id": pa.array(sorted(set(observation_of)), pa.string())}))
    answers = decisions.answer(None, (), frames, scope, place.tiling, found.model_version, rule).to_pylist()
    errors = {str(row.image): row.error for row in rows[rows["error"].notna()].itertuples()}
    observations = []
    for observation in dict.fromkeys(observation_of):
        members = [position for position, owner in enumerate(observation_of) if owner == observation]
        observations.append(
            Identified(
                images=[str(images[position]) for position in members],
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
                    f"{images[position]}: {errors[str(position)]}" for position in members if str(position) in errors
                ],
            )
        )
    return IdentifyReport(
        model_version=found.model_version, scheme_id=place.tiling, rule=rule.spec, observations=observations
    )
