"""Vectors to species: the best k of each tile, and a decision for each observation."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings
from flows.embed import ensure_embedded
from flows.orchestration import Clock, flow_run_id, progress, run_task, told
from flows.parts import needed, parts_of
from lake import decisions, embeddings, ledger, tables, weighing
from lake.decisions import Part, Scope
from lake.rules import MANY, DecisionRule
from modeling.errors import TilingError
from modeling.recipe import Recipe
from modeling.tiling import parse_all

if TYPE_CHECKING:
    from modeling.heads import TrainedHead
    from modeling.registry import Registry, Version


class PredictReport(BaseModel):
    """The answers of a model to a data set."""

    dataset: str
    model_version: str
    scheme_id: str
    rule: dict[str, object]
    priors: list[str]  # what each prior of the rule did
    decision_id: str
    observations: int
    images_predicted: int
    images_reused: int
    mean_species: float
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.committed:
            return [
                f"{self.model_version} has answered all of {self.dataset} at {self.scheme_id}: nothing new, "
                f"no backbone was loaded"
            ]
        return [
            f"{self.model_version}: {self.observations} observations of {self.dataset} at {self.scheme_id}, "
            f"{self.mean_species:.2f} species each ({self.images_predicted} images predicted, "
            f"{self.images_reused} reused)",
            *self.priors,
            'answers: taxalake sql "select observation_id, species_id, score from observation_predictions '
            f"where decision_id = '{self.decision_id}' and is_answer order by observation_id, rank\"",
        ]


def predict_shard(
    place: settings.Settings,
    head: "TrainedHead",
    constants: dict[str, object],
    image_ids: list[str],
    planned_on: tables.Snapshot,
) -> tables.Snapshot:
    """Predict the tiles of some images from their vectors and commit the best k of each."""
    from modeling.serving import rank

    lake, scheme_id = place.lake, str(constants["scheme_id"])
    (vectors,) = tables.latest(lake, "embeddings")
    found = embeddings.read_vectors(lake, vectors, head.embedding_key, scheme_id, image_ids, head.poolings)
    best = rank(head.predict(found.poolings, head.embedding_key), place.tile_top_k, head.probabilities)
    tile_count, k = best.class_indices.shape
    species = np.array(head.class_map.species_ids, dtype=object)
    columns = {
        "image_id": np.repeat(np.array(found.image_ids, dtype=object), k),
        "tile_index": np.repeat(found.tile_indices, k),
        "rank": np.tile(np.arange(1, k + 1), tile_count),
        "species_id": species[best.class_indices.ravel()],
        "logit": best.logits.ravel(),
        "probability": best.probabilities.ravel(),
    }
    return decisions.append_tile_predictions(lake, columns, constants, planned_on).snapshot


predict_task = task(name="predict-shard", retries=1, cache_policy=NO_CACHE)(predict_shard)


@flow(name="predict")
def predict(
    dataset: str,
    model: str,
    tiling: str | None = None,
    species: str | None = None,
    min_votes: int | None = None,
    min_probability: float | None = None,
    allow_empty: bool | None = None,
    backbone: str | None = None,
    home: Path | None = None,
    rule: Path | dict[str, Any] | None = None,
) -> PredictReport:
    """Answer every observation of a data set.

    Args:
        dataset: The data set.
        model: NAME, NAME@alias or NAME/VERSION.
        tiling: whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB or boxes-NAME, several joined by a plus; those that
            the model has learnt from by default.
        species: one or many species an observation; by default as its labels or the tiling say.
        min_votes: Tiles that have to agree on a species of a quadrat.
        min_probability: Under which a tile does not vote.
        allow_empty: Whether a quadrat may be answered with no species.
        backbone: Where the model's backbone is now, if not where it was in training.
        home: The place's home.
        rule: A file (TOML) that says how species are decided, or its content, in the place of the four above.
    """
    from modeling.registry import Registry

    place = settings.load(
        home=home, tiling=tiling, min_votes=min_votes, min_probability=min_probability, allow_empty=allow_empty
    )
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    refuse_beside_rule(rule, species, min_votes, min_probability, allow_empty)
    chosen = rule_of(place, version, dataset, species, rule, tiling)
    embeddings.require_dataset(lake, dataset)
    scope = decisions.whole_scope(lake, dataset)
    place, parts = predicted_parts(place, version, dataset, chosen)
    predicted = predict_tiles(place, registry, version, scope, backbone, run_id)
    decision = decisions.decide(lake, scope, chosen.tilings, version.recorded_as, chosen, run_id, parts)
    answers = sum(decision.answers["is_answer"].to_pylist())
    committed = decision.committed or predicted > 0
    key = version.tags["embedding_key"]
    embedded = max(embeddings.embedded_count(lake, dataset, key, tiling) for tiling in place.tilings)
    reused = max(0, embedded - predicted)
    if committed:
        rows = decision.answers.num_rows
        ledger.record_stage(lake, run_id, "predict", dataset, rows, 0, clock.seconds, image_count=predicted)
    report = PredictReport(
        dataset=dataset,
        model_version=version.model_version,
        scheme_id=chosen.tilings,
        rule=chosen.spec,
        priors=[effect.words for effect in decision.effects],
        decision_id=decision.decision_id,
        observations=scope.observations.num_rows,
        images_predicted=predicted,
        images_reused=reused,
        mean_species=answers / scope.observations.num_rows,
        snapshots={snapshot.table: snapshot.version for snapshot in decision.snapshots},
        committed=committed,
    )
    return told(report)


def predict_tiles(
    place: settings.Settings,
    registry: "Registry",
    version: "Version",
    scope: Scope,
    backbone: str | None,
    run_id: str,
) -> int:
    """Bring the tile predictions of a scope up to date and return how many images were predicted now."""
    lake, key = place.lake, version.tags["embedding_key"]
    head = registry.head(version)
    head.class_map.require(version.tags["class_map_id"], f"the registered version {version.model_version}")
    among = scope.observations["observation_id"].to_pylist()
    ensure_embedded(place, scope.dataset, head.embedding_spec, backbone or head.backbone, run_id, among)
    predicted: set[str] = set()
    for tiling in place.tilings:
        (planned_on,) = tables.latest(lake, "tile_predictions")
        pending = decisions.pending_images(lake, scope, key, tiling, version.recorded_as)
        constants: dict[str, object] = {
            "model_version": version.recorded_as,
            "scheme_id": tiling,
            "class_map_id": head.class_map.class_map_id,
            "flow_run_id": run_id,
        }
        size = place.predict_shard_images
        with progress(f"predict {scope.dataset} at {tiling}", len(pending), "images") as advance:
            for start in range(0, len(pending), size):
                shard = pending[start : start + size]
                planned_on = run_task(predict_task, place, head, constants, shard, planned_on)
                advance(len(shard))
        decisions.check_all_predicted(lake, scope, key, tiling, version.recorded_as)
        predicted.update(pending)
    return len(predicted)


def at_tilings_of(version: "Version", place: settings.Settings) -> settings.Settings:
    """Return the settings with the tilings that a model has learnt from, unless others are asked for."""
    asked = "tiling" in place.model_fields_set
    return place if asked else place.model_copy(update={"tiling": tilings_of(version)})


def tilings_of(version: "Version") -> str:
    """Return the tilings that a model has learnt from, joined by a plus; an imported one has learnt from wholes."""
    return "+".join(Recipe.parse(version.tags["recipe"]).tilings) if "recipe" in version.tags else "whole"


def rule_of(
    place: settings.Settings,
    version: "Version",
    dataset: str,
    species: str | None,
    given: Path | Mapping[str, Any] | None,
    tiling: str | None,
) -> DecisionRule:
    """Return the decision rule for a data set, with the tilings that count: the one given, else the place's.

    A tiling that was asked for says what is looked for; one that a model has learnt from does not.

    Args:
        place: Settings.
        version: The model that answers.
        dataset: What it answers.
        species: one or many; by default as the labels of the data set say.
        given: A file with a rule, or its content.
        tiling: That this run is asked for: it goes before the one that the rule names, and that before the settings'.
    """
    at = at_tilings_of(version, place).tiling
    if given is None:
        kind = species or decisions.usual_kind(place.lake, dataset, place.tiling)
        return usual_rule(place, kind).at(at)
    rule = rule_in(given)
    return rule.at(at) if tiling is None else replace(rule, tilings=place.tiling)


def rule_in(given: Path | Mapping[str, Any]) -> DecisionRule:
    """Read a rule file, or its content.

    Raises:
        LakeError: If it is no rule; the file is named.
        SettingsError: If there is no such tiling as it names.
    """
    rule = DecisionRule.load(given) if isinstance(given, Path) else DecisionRule.read(given)
    try:
        return replace(rule, tilings=canonical(rule.tilings)) if rule.tilings else rule
    except TilingError as error:
        named = f"{given}: " if isinstance(given, Path) else ""
        raise settings.SettingsError(f"{named}{error}") from error


def canonical(tilings: str) -> str:
    """Return tilings, joined by a plus, by the one name that each has."""
    return "+".join(scheme.scheme_id for scheme in parse_all(tilings))


def refuse_beside_rule(rule: Path | Mapping[str, Any] | None, *others: object) -> None:
    """Refuse options that say what a rule file says.

    Raises:
        SettingsError: If both were given.
    """
    if rule is not None and any(one is not None for one in others):
        raise settings.SettingsError(
            f"{rule} says how species are decided: --species, --min-votes, --min-probability and --allow-empty are "
            f"said there (species, min_votes, min_probability, least_species = 0)"
        )


def predicted_parts(
    place: settings.Settings, version: "Version", dataset: str, *rules: DecisionRule
) -> tuple[settings.Settings, list[Part]]:
    """Return the settings with the tilings that have to be predicted, and where the tiles of a rule are among them."""
    for rule in rules:
        # A prior that is not there is an error before anything is embedded.
        weighing.resolved(place.lake, rule, dataset)
    stored = decisions.predicted_schemes(place.lake, dataset, version.recorded_as)
    schemes = needed([rule.tilings for rule in rules], stored)
    return place.model_copy(update={"tiling": "+".join(schemes)}), parts_of(rules[0].tilings, schemes)


def usual_rule(place: settings.Settings, kind: str) -> DecisionRule:
    """Return the place's rule for one species an observation, or many."""
    if kind != MANY:
        return DecisionRule(kind)
    least = 0 if place.allow_empty else 1
    return DecisionRule(kind, min_votes=place.min_votes, min_probability=place.min_probability, least_species=least)
