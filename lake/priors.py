"""What is likely where: learnt from labels, from a model's own answers, or from where species were ever recorded.

A prior says to which place each observation of a data set belongs, and for each place how likely each species is
there. It is named by what it says, so the same inputs make the same prior, once. What is learnt from labels is in
today's taxonomy, and holds for former ids too: a model says those that it has learnt. How scores meet a prior is a
question, ``priors/weighted_scores``, and what that did another one, ``priors/effect``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lake import embeddings, labels, query, tables
from lake.errors import LakeError, PriorUnfitError
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

COUNTRY, MONTH, CLUSTER, MASK, TAXONOMY = "country", "month", "cluster", "mask", "taxonomy"
RANKS = ("genus", "family")
EVERYWHERE = "all"  # the one place of what holds for every observation
POOLING = "cls"  # of the vectors that are put into clusters
_COLUMN_OF = {COUNTRY: "country_code", MONTH: "month"}
_TAKEN_FROM = {COUNTRY: "country_code", MONTH: "observed_on"}  # the column of the records


@dataclass(frozen=True)
class FactPrior:
    """How likely a species is, given something that the records say of an observation."""

    fact: str  # country or month
    shrinkage: float = 10.0  # training observations that all places together weigh as much as

    def __post_init__(self) -> None:
        if self.fact not in _COLUMN_OF:
            raise LakeError(f"a prior can be learnt by {' or '.join(_COLUMN_OF)}, not by {self.fact!r}")
        # Of nan nothing is true.
        if not 0 < self.shrinkage < float("inf"):
            raise LakeError(
                f"a shrinkage of {self.shrinkage} was asked for; it counts observations and lies above 0, or a species "
                f"that training has not seen in a place would be impossible there"
            )


@dataclass(frozen=True)
class ClusterPrior:
    """How likely a model finds a species among photographs that look alike ("DS@GT at PlantCLEF 2025", 2025)."""

    model_version: str  # whose tile predictions
    scheme_id: str  # of those tiles; several joined by a plus
    embedding_key: str  # of the vectors that the clusters were found in
    cluster_count: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Bounds:
    """A piece of the globe, in degrees, edges included."""

    min_latitude: float
    min_longitude: float
    max_latitude: float
    max_longitude: float

    def __post_init__(self) -> None:
        if not (
            -90 <= self.min_latitude <= self.max_latitude <= 90
            and -180 <= self.min_longitude <= self.max_longitude <= 180
        ):
            raise LakeError(
                f"latitudes {self.min_latitude:g} to {self.max_latitude:g} and longitudes {self.min_longitude:g} to "
                f"{self.max_longitude:g} bound nothing: give the smallest latitude (-90 to 90) and longitude (-180 to "
                f"180), then the largest; a region across 180 degrees is told by its countries"
            )


@dataclass(frozen=True)
class MaskPrior:
    """Which species were ever recorded in a region: inside of the bounds, or in one of the countries."""

    bounds: Bounds | None = None
    country_codes: tuple[str, ...] = ()
    keep_unplaced: bool = True  # species of which no record says where it was

    def __post_init__(self) -> None:
        if self.bounds is None and not self.country_codes:
            raise LakeError("a mask needs a region, and neither bounds nor countries were given")


@dataclass(frozen=True)
class TaxonPrior:
    """How often a genus or family is seen: the same for all of its species, those that were never seen as well."""

    rank: str = "genus"

    def __post_init__(self) -> None:
        if self.rank not in RANKS:
            raise LakeError(f"species can be weighed by their {' or '.join(RANKS)}, not by their {self.rank!r}")


@dataclass(frozen=True)
class TrainingSide:
    """The observations that a prior may learn from: a data set's, as far as a split lets them be learnt from."""

    dataset: str
    split_id: str


@dataclass(frozen=True)
class Learnt:
    """A prior and what it knows."""

    prior_id: str
    kind: str
    place_count: int
    species_count: int
    kept_count: int  # species that are possible in some place
    placed_count: int  # observations of known place
    observation_count: int  # of the data set
    row_count: int  # written now; 0 means that it was known and nothing was committed
    snapshots: tuple[Snapshot, ...]


def learn_by_fact(
    lake: Lake, name: str, prior: FactPrior, learnt_from: TrainingSide, dataset: str, flow_run_id: str
) -> Learnt:
    """Learn how likely each species is in each country or month, from labels, and store it.

    The share of a species in a place is drawn towards its share in all places together (Dirichlet smoothing,
    Zhai & Lafferty 2001): ``(n_ps + shrinkage * p_s) / (n_p + shrinkage)``, counted by observation, with one more of
    each species in ``p_s``. An observation of no country or month, or of one in which training saw nothing, is in no
    place, and the prior leaves it as it is.

    Args:
        lake: The place of the tables.
        name: The prior's name; a new version of it has the same one.
        prior: By what, and how strongly it is drawn.
        learnt_from: Whose labels are read.
        dataset: Whose observations get places.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If there is nothing to learn from, or no observation of the data set would have a place.
    """
    examples = _examples(lake, learnt_from)
    records, _, changes, *_ = examples.snapshots
    places = _places(lake, records, dataset, prior.fact)
    train = _train_observations(examples, learnt_from)
    seen_in = places if learnt_from.dataset == dataset else _places(lake, records, learnt_from.dataset, prior.fact)
    train_places = train.join(seen_in, "observation_id", join_type="left outer")
    seen = learnt_from.dataset, "training observations", train_places["place"]
    for whose, what, found in (seen, (dataset, "observations", places["place"])):
        if len(found) and found.null_count == len(found):
            raise LakeError(
                f"the prior {name!r} would change nothing: none of {len(found)} {what} of {whose!r} has a {prior.fact} "
                f"(image_records.{_TAKEN_FROM[prior.fact]}); take its photographs in from a source that says it, or "
                + (
                    "ask for another kind of prior"
                    if whose == dataset
                    else "learn from another data set (--learn-from)"
                )
            )
    frames = {"train_places": train_places, "known_species": _species_frame(examples.taxa)}
    weights = query.answer(None, "priors/weights_by_place", frames=frames, shrinkage=prior.shrinkage)
    spec = {"kind": prior.fact, "shrinkage": prior.shrinkage, "learnt_from": asdict(learnt_from)}
    accepted = labels.accepted_species(lake, changes)
    return _record(lake, name, spec, weights, accepted, places, dataset, examples.snapshots, flow_run_id)


def learn_by_cluster(
    lake: Lake, name: str, prior: ClusterPrior, cluster_of: Mapping[str, int], dataset: str, flow_run_id: str
) -> Learnt:
    """Learn how likely a model finds each species in each cluster of observations, and store it. Reads no label.

    The weight of a species is the mean, over the observations of a cluster, of the mean probability that their tiles
    gave it; those of a cluster are then made to sum to 1. A species outside a tile's best k counts as impossible there.

    Args:
        lake: The place of the tables.
        name: The prior's name.
        prior: Whose predictions are read, and how the clusters were found.
        cluster_of: The cluster of each observation that is in one.
        dataset: Where the observations are from.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If the model has predicted none of their tiles.
    """
    read = tables.latest(lake, "image_records", "tile_predictions")
    (vectors,) = tables.latest(lake, "embeddings")
    observations = query.answer(lake, "labels/observation_tags", read[:1], dataset=dataset)["observation_id"]
    clusters = [cluster_of.get(observation) for observation in observations.to_pylist()]
    places = pa.table(
        {
            "observation_id": observations,
            "place": pa.array([None if number is None else str(number) for number in clusters], pa.string()),
        }
    )
    weights = query.answer(
        lake,
        "priors/weights_by_cluster",
        read,
        {"observation_places": places.filter(pc.is_valid(places["place"]))},
        dataset=dataset,
        model_version=prior.model_version,
        scheme_id=prior.scheme_id,
    )
    spec = {"kind": CLUSTER, "pooling": POOLING, **asdict(prior)}
    # The model's own answers are in the model's own ids: what they became since is nothing that it says.
    return _record(lake, name, spec, weights, None, places, dataset, (*read, vectors), flow_run_id)


def learn_mask(
    lake: Lake, name: str, prior: MaskPrior, learnt_from: TrainingSide, dataset: str, flow_run_id: str
) -> Learnt:
    """Learn which species were recorded in a region, and store it: those weigh 1 and others 0.

    Every observation of the data set is in its one place.

    Args:
        lake: The place of the tables.
        name: The prior's name.
        prior: The region.
        learnt_from: Whose labelled records say where species are.
        dataset: Whose observations are masked.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If there is nothing to learn from, or every species is kept, or none.
    """
    examples = _examples(lake, learnt_from)
    records, _, changes, _, species = examples.snapshots
    accepted = labels.accepted_species(lake, changes)
    named = query.answer(lake, "labels/current_species", [species])["species_id"].to_pylist()
    bounds = prior.bounds
    weights = query.answer(
        lake,
        "priors/weights_of_mask",
        [records],
        {
            "train_observations": _train_observations(examples, learnt_from),
            "known_species": _species_frame(_in_todays_ids({*named, *examples.taxa}, accepted)),
        },
        dataset=learnt_from.dataset,
        **{edge: None if bounds is None else getattr(bounds, edge) for edge in Bounds.__dataclass_fields__},
        country_codes=sorted(prior.country_codes),
        keep_unplaced=prior.keep_unplaced,
    )
    kept = int(pc.sum(weights["weight"]).as_py())
    if kept in {0, weights.num_rows}:
        raise LakeError(
            f"the mask {name!r} would {'keep every one' if kept else 'remove every one'} of {weights.num_rows} "
            f"species on record, by {learnt_from.dataset!r}: see whether its records say where they were taken "
            f"(latitude, longitude, country_code), or ask for another region"
        )
    spec = {
        "kind": MASK,
        "bounds": None if bounds is None else asdict(bounds),
        "country_codes": sorted(prior.country_codes),
        "keep_unplaced": prior.keep_unplaced,
        "learnt_from": asdict(learnt_from),
    }
    weights, places = _with(weights, place=EVERYWHERE), _everywhere(lake, records, dataset)
    return _record(lake, name, spec, weights, accepted, places, dataset, examples.snapshots, flow_run_id)


def learn_by_taxon(
    lake: Lake, name: str, prior: TaxonPrior, learnt_from: TrainingSide, dataset: str, flow_run_id: str
) -> Learnt:
    """Learn how often each genus or family is seen, from labels, and store it for all of its species.

    The weight of a species is the share of its genus among the training observations, with one more of each genus
    (Laplace smoothing), so that species of one genus weigh the same and those of all genera once sum to 1. A species
    of which nobody says its genus is a genus of its own. Every observation of the data set is in its one place.

    Args:
        lake: The place of the tables.
        name: The prior's name.
        prior: By which rank.
        learnt_from: Whose labels are read.
        dataset: Whose observations are weighed.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If there is nothing to learn from, or the species that are known are not of several genera.
    """
    examples = _examples(lake, learnt_from)
    train = _train_observations(examples, learnt_from)
    records, _, changes, _, species = examples.snapshots
    accepted = labels.accepted_species(lake, changes)
    named = query.answer(lake, "labels/current_species", [species])
    taxon_of = dict(zip(named["species_id"].to_pylist(), named[prior.rank].to_pylist(), strict=True))
    known = sorted(_in_todays_ids({*taxon_of, *examples.taxa}, accepted))
    taxa = [taxon_of.get(species_id) for species_id in known]
    if len(set(taxa)) < 2:
        shared = f"no known {prior.rank}" if taxa[0] is None else f"the {prior.rank} {taxa[0]!r}"
        raise LakeError(
            f"the prior {name!r} would change nothing: of {len(known)} species that are known, every one is of "
            f"{shared}, those of {learnt_from.dataset!r} as well; take in a source that says of what {prior.rank} they "
            f"are, or ask for another kind of prior"
        )
    frames = {
        "train_observations": train,
        "known_taxa": pa.table({"species_id": pa.array(known, pa.string()), "taxon": pa.array(taxa, pa.string())}),
    }
    weights = _with(query.answer(None, "priors/weights_by_taxon", frames=frames), place=EVERYWHERE)
    spec = {"kind": TAXONOMY, "rank": prior.rank, "learnt_from": asdict(learnt_from)}
    places = _everywhere(lake, records, dataset)
    return _record(lake, name, spec, weights, accepted, places, dataset, examples.snapshots, flow_run_id)


def vectors_of_observations(lake: Lake, dataset: str, embedding_key: str) -> tuple[list[str], NDArray[np.float32]]:
    """Return what the observations of a data set look like: the mean vector of their whole photographs.

    Returns:
        The (N) observations that have any, in ascending order, and their vectors (N, D).
    """
    records, snapshot = tables.latest(lake, "image_records", "embeddings")
    pairs = (
        tables.scan(lake, records)
        .filter(pl.col("dataset") == dataset)
        .select("observation_id", "image_id")
        .unique()
        .sort("observation_id", "image_id")
        .collect()
    )
    found = embeddings.read_vectors(lake, snapshot, embedding_key, "whole", pairs["image_id"].to_list(), [POOLING])
    row_of = {image_id: row for row, image_id in enumerate(found.image_ids)}
    shown = [(observation, row_of[image]) for observation, image in pairs.iter_rows() if image in row_of]
    observations = sorted({observation for observation, _ in shown})
    number_of = {observation: number for number, observation in enumerate(observations)}
    vectors = found.poolings[POOLING]
    members = np.array([number_of[observation] for observation, _ in shown], np.int64)
    means: NDArray[np.float32] = np.zeros((len(observations), vectors.shape[1]), np.float32)
    np.add.at(means, members, vectors[[row for _, row in shown]])
    means /= np.bincount(members, minlength=len(observations))[:, None].astype(np.float32)
    return observations, means


def find(lake: Lake, name_or_id: str, dataset: str) -> str:
    """Return the id of a prior for a data set: the one of that id, else the latest one of that name.

    Raises:
        LakeError: If there is none for the data set; the message names those that there are.
    """
    seen = tables.latest(lake, "prior_specs", "prior_places")
    known = query.answer(lake, "priors/known_priors", seen, dataset=dataset).to_pylist()
    ids = [row["prior_id"] for row in known if row["is_for_dataset"]]
    if name_or_id in ids:
        return name_or_id
    named = [prior_id for prior_id in ids if prior_id.rpartition("-")[0] == name_or_id]
    if not named:
        others = ", ".join(sorted(row["prior_id"] for row in known if not row["is_for_dataset"])) or "none"
        raise LakeError(
            f"there is no prior {name_or_id!r} for {dataset!r}; for it there are {', '.join(sorted(ids)) or 'none'}, "
            f"for other data sets {others}: `taxalake prior` makes one"
        )
    return str(named[0])


def require_effect(effect: Mapping[str, Any], prior_id: str) -> None:
    """Refuse a prior that did nothing: it is not what whoever switched it on believes.

    A published filter compared the positions of species with their ids; it removed nothing, and was on in every run.

    Args:
        effect: The row of ``priors/effect``.
        prior_id: The prior.

    Raises:
        LakeError: If it removed no answer and changed no score, or knows none of the species that were answered.
    """
    seen = effect["observation_count"]
    if effect["unplaced_count"] == seen:
        reason, remedy = (
            f"none of the {seen} observations is in a place that it knows",
            "make it anew for this data set, from one that knows its places",
        )
    elif not effect["weighted_count"]:
        reason, remedy = (
            "it knows none of the species that were answered",
            "see that it was learnt from a data set with the species ids of the model",
        )
    elif effect["removed_count"] or effect["changed_score_count"]:
        return
    elif effect["fallback_count"]:
        reason, remedy = (
            f"it would leave {effect['fallback_count']} of {seen} observations without an answer, which stayed as "
            f"they were, and changes no other",
            "ask for another region, or for a model that knows its species",
        )
    else:
        reason, remedy = (
            "every species that was answered is as likely as the likeliest one",
            "ask for a narrower region, or a strength above 0, or leave it out",
        )
    raise PriorUnfitError(f"the prior {prior_id} changes nothing: {reason}; {remedy}")


def _examples(lake: Lake, learnt_from: TrainingSide) -> labels.TrainingExamples:
    return labels.training_examples(lake, learnt_from.dataset, learnt_from.split_id)


def _train_observations(examples: labels.TrainingExamples, learnt_from: TrainingSide) -> pa.Table:
    """Return observation_id, species_id: one row per observation that is learnt from."""
    rows = zip(examples.observation_ids, examples.species_ids, examples.splits, strict=True)
    seen = {observation: species for observation, species, side in rows if side == "train"}
    if not seen:
        raise LakeError(
            f"a prior was to be learnt from the training side of {learnt_from.split_id!r}, and {learnt_from.dataset!r} "
            f"has no labelled observation there: ask for a data set with labels of single organisms"
        )
    text = pa.string()
    return pa.table({"observation_id": pa.array(list(seen), text), "species_id": pa.array(list(seen.values()), text)})


def _species_frame(species_ids: Mapping[str, object] | set[str]) -> pa.Table:
    return pa.table({"species_id": pa.array(sorted(species_ids), pa.string())})


def _in_todays_ids(species_ids: set[str], accepted: pa.Table) -> set[str]:
    """Return what species are called today; of one that was split nobody can say it, and it keeps its id."""
    today = dict(zip(accepted["species_id"].to_pylist(), accepted["accepted_id"].to_pylist(), strict=True))
    return {today.get(species_id) or species_id for species_id in species_ids}


def _everywhere(lake: Lake, records: Snapshot, dataset: str) -> pa.Table:
    """Return observation_id, place of every observation of a data set: all are in the one place."""
    observations = query.answer(lake, "labels/observation_tags", [records], dataset=dataset)
    return _with(observations.select(["observation_id"]), place=EVERYWHERE)


def _places(lake: Lake, records: Snapshot, dataset: str, fact: str) -> pa.Table:
    """Return observation_id, place of every observation of a data set; null where its records do not say it."""
    facts = query.answer(lake, "labels/observation_facts", [records], dataset=dataset)
    return pa.table({"observation_id": facts["observation_id"], "place": facts[_COLUMN_OF[fact]].cast(pa.string())})


def _record(
    lake: Lake,
    name: str,
    spec: Mapping[str, Any],
    weights: pa.Table,
    accepted: pa.Table | None,
    places: pa.Table,
    dataset: str,
    snapshots: tuple[Snapshot, ...],
    flow_run_id: str,
) -> Learnt:
    """Write what a prior says, then that it is there: readers start from its spec, and one that is there is whole.

    Args:
        lake: The place of the tables.
        name: The prior's name.
        spec: How it was made.
        weights: place, species_id, weight.
        accepted: species_id, accepted_id: what became of the ids that models of former times say, if that matters.
        places: observation_id, place: one row per observation of the data set, null where it is not known.
        dataset: Whose observations have the places.
        snapshots: What was read.
        flow_run_id: The flow run that writes.
    """
    known = weights["place"].combine_chunks().unique()
    placed = places.filter(pc.is_in(places["place"], value_set=known)).sort_by("observation_id")
    if not placed.num_rows:
        raise LakeError(
            f"the prior {name!r} would change nothing: none of {places.num_rows} observations of {dataset!r} is in a "
            f"{spec['kind']} of which something is known ({_first(known)})"
        )
    weights = weights.select(["place", "species_id", "weight"])
    by_any_id = weights
    if accepted is not None:
        frames = {"weights": weights, "accepted_species": accepted}
        by_any_id = query.answer(None, "priors/weights_by_any_id", frames=frames)
    said = (by_any_id, placed.select(["observation_id", "place"]))
    whole = {**spec, "dataset": dataset}
    prior_id = f"{name}-{tables.digest([whole, *(rows.to_pydict() for rows in said)])}"
    noted = {"prior_id": prior_id, "recorded_at": datetime.now(UTC), "flow_run_id": flow_run_id}
    spec_row = {
        **noted,
        "kind": spec["kind"],
        "spec": tables.canonical_json(whole),
        "place_count": len(known),
        "snapshots": tables.describe(snapshots),
    }
    appended = [
        tables.append(lake, "priors", _with(said[0], **noted)),
        tables.append(lake, "prior_places", _with(said[1], **noted, dataset=dataset)),
        tables.append(lake, "prior_specs", pa.Table.from_pylist([spec_row], schema=TABLES["prior_specs"].columns)),
    ]
    return Learnt(
        prior_id,
        spec["kind"],
        len(known),
        pc.count_distinct(weights["species_id"]).as_py(),
        pc.count_distinct(weights.filter(pc.greater(weights["weight"], 0))["species_id"]).as_py(),
        placed.num_rows,
        places.num_rows,
        sum(one.row_count for one in appended),
        snapshots,
    )


def _with(rows: pa.Table, **constants: object) -> pa.Table:
    for name, value in constants.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
    return rows


def _first(places: pa.Array) -> str:
    shown = sorted(places.to_pylist())
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "") if shown else "none"
