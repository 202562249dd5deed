"""What is likely where, learnt from one's own lake. Whether it helps is measured elsewhere, before anybody uses it."""

from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings
from flows.audit import ensure_hashed
from flows.embed import ensure_embedded
from flows.orchestration import Clock, flow_run_id, run_task, told
from flows.predict import at_tilings_of, predict_tiles
from flows.settings import Settings, SettingsError
from lake import decisions, embeddings, ledger, priors, splits
from lake.priors import (
    CLUSTER,
    COUNTRY,
    MASK,
    MONTH,
    TAXONOMY,
    Bounds,
    ClusterPrior,
    FactPrior,
    Learnt,
    MaskPrior,
    TaxonPrior,
    TrainingSide,
)

# What each kind can be told, beside its name and the data set.
_FROM_LABELS = ("learn_from", "split_id")
_OPTIONS = {
    COUNTRY: (*_FROM_LABELS, "shrinkage"),
    MONTH: (*_FROM_LABELS, "shrinkage"),
    MASK: (*_FROM_LABELS, "bounds", "countries", "drop_unplaced"),
    TAXONOMY: (*_FROM_LABELS, "rank"),
    CLUSTER: ("model", "clusters", "tiling", "backbone"),
}

by_fact = task(name="learn-by-fact", cache_policy=NO_CACHE)(priors.learn_by_fact)
by_cluster = task(name="learn-by-cluster", cache_policy=NO_CACHE)(priors.learn_by_cluster)
by_taxon = task(name="learn-by-taxon", cache_policy=NO_CACHE)(priors.learn_by_taxon)
mask = task(name="learn-mask", cache_policy=NO_CACHE)(priors.learn_mask)


class PriorReport(BaseModel):
    """A prior, and how much of a data set it knows."""

    dataset: str
    kind: str
    prior_id: str
    places: int
    species: int
    species_possible: int  # somewhere; a mask leaves out the others
    observations: int
    observations_placed: int
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        again = "" if self.committed else " (known before, nothing new)"
        if self.kind == MASK:
            species = f"keeps {self.species_possible} of {self.species} species on record"
        elif self.kind == TAXONOMY:
            species = f"{self.species} species"
        else:
            species = f"{self.species} species in {self.places} places"
        unplaced = self.observations - self.observations_placed
        left = f"; {unplaced} are in no known place and stay as they are" if unplaced else ""
        return [
            f"{self.prior_id}{again}: {species}, "
            f"for {self.observations_placed} of {self.observations} observations of {self.dataset}{left}"
        ]


@flow(name="prior")
def prior(
    dataset: str,
    kind: str,
    name: str | None = None,
    learn_from: str | None = None,
    split_id: str | None = None,
    shrinkage: float | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    countries: list[str] | None = None,
    drop_unplaced: bool | None = None,
    rank: str | None = None,
    model: str | None = None,
    clusters: int | None = None,
    tiling: str | None = None,
    backbone: str | None = None,
    home: Path | None = None,
) -> PriorReport:
    """Learn which species are likely where, for the observations of a data set.

    Args:
        dataset: The data set that will be answered.
        kind: country, month, cluster, mask or taxonomy.
        name: Of the prior; its kind by default.
        learn_from: all but cluster: the data set whose labels are read; the same one by default.
        split_id: all but cluster: whose training side is read; by default that of the place's settings.
        shrinkage: country, month: observations that all places together weigh as much as.
        bounds: mask: smallest latitude and longitude, largest latitude and longitude, in degrees.
        countries: mask: country codes, as the records have them.
        drop_unplaced: mask: leave out species of which no record says where it was, too.
        rank: taxonomy: genus or family, by which species are weighed; genus by default.
        model: cluster: NAME, NAME@alias or NAME/VERSION, whose answers are read.
        clusters: cluster: how many.
        tiling: cluster: whose tiles are read; those that the model has learnt from by default.
        backbone: cluster: where the model's backbone is now, if not where it was in training.
        home: The place's home.

    Raises:
        SettingsError: If the kind is unknown, or told what it does not use.
    """
    given = {
        **{"learn_from": learn_from, "split_id": split_id, "shrinkage": shrinkage, "bounds": bounds},
        **{"countries": countries, "drop_unplaced": drop_unplaced, "rank": rank},
        **{"model": model, "clusters": clusters, "tiling": tiling, "backbone": backbone},
    }
    _require_used(kind, {option for option, value in given.items() if value is not None})
    place = settings.load(home=home, tiling=tiling)
    name = settings.require_name(name or kind, "prior")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    embeddings.require_dataset(lake, dataset)
    written = 0
    if kind == CLUSTER:
        if model is None:
            raise SettingsError("a prior by cluster is made of a model's own answers: say --model")
        spec, cluster_of, written = _clustered(place, dataset, model, clusters, backbone, run_id)
        learnt: Learnt = run_task(by_cluster, lake, name, spec, cluster_of, dataset, run_id)
    else:
        side, written = _training_side(place, learn_from or dataset, split_id, run_id)
        if kind == MASK:
            region = MaskPrior(
                None if bounds is None else Bounds(*bounds), tuple(countries or ()), keep_unplaced=not drop_unplaced
            )
            learnt = run_task(mask, lake, name, region, side, dataset, run_id)
        elif kind == TAXONOMY:
            taxon = TaxonPrior() if rank is None else TaxonPrior(rank)
            learnt = run_task(by_taxon, lake, name, taxon, side, dataset, run_id)
        else:
            fact = FactPrior(kind) if shrinkage is None else FactPrior(kind, shrinkage)
            learnt = run_task(by_fact, lake, name, fact, side, dataset, run_id)
    written += learnt.row_count
    if written:
        ledger.record_stage(lake, run_id, "prior", dataset, written, 0, clock.seconds)
    return told(
        PriorReport(
            dataset=dataset,
            kind=learnt.kind,
            prior_id=learnt.prior_id,
            places=learnt.place_count,
            species=learnt.species_count,
            species_possible=learnt.kept_count,
            observations=learnt.observation_count,
            observations_placed=learnt.placed_count,
            snapshots={snapshot.table: snapshot.version for snapshot in learnt.snapshots},
            committed=bool(written),
        )
    )


def _training_side(place: Settings, dataset: str, split_id: str | None, run_id: str) -> tuple[TrainingSide, int]:
    """Return what may be learnt from, and how many observations got their place in the split now."""
    embeddings.require_dataset(place.lake, dataset)
    if split_id is not None:
        return TrainingSide(dataset, split_id), 0
    recipe = place.split_recipe
    if recipe.group_by == "near_duplicate":
        ensure_hashed(place, dataset, run_id)
    assigned = splits.assign(place.lake, dataset, recipe, run_id)
    return TrainingSide(dataset, recipe.split_id(dataset)), assigned.row_count


def _clustered(
    place: Settings, dataset: str, model: str, clusters: int | None, backbone: str | None, run_id: str
) -> tuple[ClusterPrior, dict[str, int], int]:
    """Bring what is needed up to date and return the clusters of observations, and how many images were predicted."""
    from modeling.clusters import clusters_of
    from modeling.registry import Registry

    lake = place.lake
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    head = registry.head(version)
    place = at_tilings_of(version, place)
    predicted = predict_tiles(place, registry, version, decisions.whole_scope(lake, dataset), backbone, run_id)
    whole = place.model_copy(update={"tiling": "whole"})
    ensure_embedded(whole, dataset, head.embedding_spec, backbone or head.backbone, run_id)
    spec = ClusterPrior(version.recorded_as, place.tiling, head.embedding_key, seed=place.seed)
    if clusters is not None:
        spec = replace(spec, cluster_count=clusters)
    observations, vectors = priors.vectors_of_observations(lake, dataset, spec.embedding_key)
    numbers = clusters_of(vectors, spec.cluster_count, spec.seed)
    return spec, dict(zip(observations, numbers.tolist(), strict=True)), predicted


def _require_used(kind: str, given: set[str]) -> None:
    if kind not in _OPTIONS:
        raise SettingsError(f"there is no prior by {kind!r}; there is one by {', '.join(_OPTIONS)}")
    unused = sorted(given - set(_OPTIONS[kind]))
    if unused:
        raise SettingsError(f"a prior by {kind} does not use {', '.join(unused)}; it uses {', '.join(_OPTIONS[kind])}")
