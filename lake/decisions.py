"""From tile predictions to species of observations, and from those to scores. The rules are SQL files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake import baselines, labels, query, tables
from lake.embeddings import images_of
from lake.errors import LakeError
from lake.schemas import TABLES
from lake.tables import Appended, Lake, Snapshot

ONE = "one"  # an observation is one organism, seen in one or more photographs
MANY = "many"  # an observation is a quadrat
WITHOUT_LOOKING = "without_looking:"  # begins the slice of a baseline's scores


@dataclass(frozen=True)
class DecisionRule:
    """How tile predictions become the species of an observation."""

    species: str  # one or many
    min_votes: int = 2  # many: tiles whose best species it is
    min_probability: float = 0.0  # many: a tile with less does not vote
    allow_empty: bool = False  # many: else the best species stands where none is kept
    candidates: int = 5  # one: how many are stored, best first

    def __post_init__(self) -> None:
        if self.species not in {ONE, MANY}:
            raise LakeError(f"an observation holds {ONE!r} species or {MANY!r}, not {self.species!r}")
        if self.min_votes < 1:
            raise LakeError(f"a species needs at least one vote to be found, not {self.min_votes}")
        if not 0 <= self.min_probability <= 1:
            raise LakeError(f"a probability lies in 0 to 1, never percent; {self.min_probability} does not")

    @property
    def spec(self) -> dict[str, Any]:
        """The parts of the rule that its kind uses, for its id."""
        used = ("candidates",) if self.species == ONE else ("min_votes", "min_probability", "allow_empty")
        return {key: value for key, value in asdict(self).items() if key == "species" or key in used}


@dataclass(frozen=True)
class Scope:
    """The observations that a prediction or an evaluation is about."""

    dataset: str
    split: str  # train, val, test or all
    observations: pa.Table  # observation_id


@dataclass(frozen=True)
class Decision:
    """A rule that was applied to the tiles of some observations."""

    decision_id: str
    answers: pa.Table  # observation_id, species_id, score, votes, rank, is_answer
    snapshots: tuple[Snapshot, ...]
    committed: bool


@dataclass(frozen=True)
class Evaluation:
    """The scores of one decision."""

    evaluation_id: str
    metrics: dict[str, float]
    chance: dict[str, float]
    beside: dict[str, dict[str, float]]  # the same metrics of answers that never look at a photograph
    observation_count: int
    snapshots: tuple[Snapshot, ...]
    committed: bool


@dataclass(frozen=True)
class Illustration:
    """What a picture of an answer shows."""

    image_name: str
    content: bytes
    tiles: list[dict[str, Any]]  # x0, y0, x1, y1, name, probability
    found: list[str]  # names, best first
    truth: list[str]  # names; empty where nobody knows


def whole_scope(lake: Lake, dataset: str) -> Scope:
    """Return every observation of a data set."""
    (records,) = tables.latest(lake, "image_records")
    tags = query.answer(lake, "labels/observation_tags", [records], dataset=dataset)
    return Scope(dataset, "all", tags.select(["observation_id"]))


def scored_scope(lake: Lake, dataset: str, split_id: str) -> Scope:
    """Return the observations that an evaluation scores: test, else val, else all that are labelled.

    Raises:
        LakeError: If nothing is labelled.
    """
    records, splits = tables.latest(lake, "image_records", "splits")
    rows = query.answer(
        lake,
        "evaluate/scored_observations",
        [splits],
        {
            "tags": query.answer(lake, "labels/observation_tags", [records], dataset=dataset),
            "current_labels": labels.current(lake, dataset),
        },
        split_id=split_id,
    )
    if not rows.num_rows:
        raise LakeError(f"no observation of {dataset!r} is labelled: there is nothing to score answers against")
    return Scope(dataset, rows["split"][0].as_py(), rows.select(["observation_id"]))


def usual_kind(lake: Lake, dataset: str, scheme_id: str) -> str:
    """Say whether observations of a data set hold one species or many.

    The labels know; where there are none, who cuts photographs into tiles looks for several species. A few
    observations with several species among whole photographs of single organisms are mistakes, not quadrats.
    """
    current = labels.current(lake, dataset)
    most = query.answer(lake, "labels/species_per_observation", frames={"current_labels": current})
    one, several = most["with_one"][0].as_py(), most["with_several"][0].as_py()
    if scheme_id == "whole":
        return ONE if several <= one else MANY
    return MANY if several or not one else ONE


def pending_images(lake: Lake, scope: Scope, embedding_key: str, scheme_id: str, model_version: str) -> list[str]:
    """Return the images of a scope that are embedded and not predicted by a model."""
    rows = query.answer(
        lake,
        "pending/tiles_to_predict",
        tables.latest(lake, "image_records", "embeddings", "tile_predictions"),
        {"scope": scope.observations},
        dataset=scope.dataset,
        embedding_key=embedding_key,
        scheme_id=scheme_id,
        model_version=model_version,
    )
    ids: list[str] = rows["image_id"].to_pylist()
    return ids


def append_tile_predictions(
    lake: Lake, columns: Mapping[str, Any], constants: Mapping[str, object], planned_on: Snapshot
) -> Appended:
    """Append the best k of each tile of a shard in one commit.

    Args:
        lake: The place of the tables.
        columns: image_id, tile_index, rank, species_id, logit, probability: N values each.
        constants: model_version, scheme_id, class_map_id, flow_run_id.
        planned_on: Where the pending work was looked up.
    """
    schema = TABLES["tile_predictions"].columns
    whole = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    count = len(whole["image_id"])
    for name, value in {**constants, "predicted_at": datetime.now(UTC)}.items():
        whole[name] = pa.repeat(pa.scalar(value, schema.field(name).type), count)
    return tables.append(lake, "tile_predictions", pa.table(whole), planned_on)


def check_all_predicted(lake: Lake, scope: Scope, embedding_key: str, scheme_id: str, model_version: str) -> None:
    """Hold the tables against the rule that every embedded tile has exactly one best prediction.

    Raises:
        CheckFailedError: If one has none, or two.
    """
    query.check(
        lake,
        "every_tile_is_predicted_once",
        tables.latest(lake, "image_records", "embeddings", "tile_predictions"),
        {"scope": scope.observations},
        dataset=scope.dataset,
        embedding_key=embedding_key,
        scheme_id=scheme_id,
        model_version=model_version,
    )


def decide(
    lake: Lake, scope: Scope, scheme_id: str, model_version: str, rule: DecisionRule, flow_run_id: str
) -> Decision:
    """Apply a rule to the tile predictions of a scope and store what it decided.

    The same rule on the same answers has the same id and is stored once. The decision is committed after its
    answers: readers start from it.
    """
    snapshots = tables.latest(lake, "image_records", "tile_predictions")
    answers = answer(lake, snapshots, {}, scope, scheme_id, model_version, rule)
    decision_id = tables.digest(
        [
            rule.spec,
            model_version,
            scope.dataset,
            scope.split,
            scheme_id,
            tables.digest(scope.observations["observation_id"].to_pylist()),
            tables.digest(answers.select(["observation_id", "species_id", "votes", "rank", "is_answer"]).to_pylist()),
        ]
    )
    rows = answers
    for name, value in {"decision_id": decision_id, "flow_run_id": flow_run_id}.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
    tables.append(lake, "observation_predictions", rows)
    row = {
        "decision_id": decision_id,
        "dataset": scope.dataset,
        "model_version": model_version,
        "scheme_id": scheme_id,
        "split": scope.split,
        "rule": tables.canonical_json(rule.spec),
        "observation_count": scope.observations.num_rows,
        "snapshots": tables.describe(snapshots),
        "decided_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    done = tables.append(lake, "decisions", pa.Table.from_pylist([row], schema=TABLES["decisions"].columns))
    return Decision(decision_id, answers, snapshots, done.row_count > 0)


def answer(
    lake: Lake | None,
    snapshots: tuple[Snapshot, ...],
    frames: Mapping[str, pa.Table],
    scope: Scope,
    scheme_id: str,
    model_version: str,
    rule: DecisionRule,
) -> pa.Table:
    """Apply a rule and store nothing: observation_id, species_id, score, votes, rank, is_answer.

    Args:
        lake: The place of the snapshots; None where frames stand for the tables.
        snapshots: ``image_records`` and ``tile_predictions``.
        frames: The same two as Arrow tables, where there are no snapshots.
        scope: The observations to answer.
        scheme_id: The tiles that count.
        model_version: The model whose predictions count.
        rule: The rule.
    """
    params: dict[str, object] = {
        "dataset": scope.dataset,
        "model_version": model_version,
        "scheme_id": scheme_id,
        **{key: value for key, value in rule.spec.items() if key != "species"},
    }
    question = "decide/species_of_observation" if rule.species == ONE else "decide/species_of_quadrat"
    return query.answer(lake, question, snapshots, {**frames, "scope": scope.observations}, **params)


def evaluate(
    lake: Lake,
    scope: Scope,
    decision: Decision,
    rule: DecisionRule,
    model_version: str,
    species_count: int,
    flow_run_id: str,
    trained_on: tuple[str, str] | None = None,
) -> Evaluation:
    """Score a decision against the labels that hold now and store the scores, once.

    Args:
        lake: The place of the tables.
        scope: The observations that are scored; one without an answer is a miss.
        decision: What is scored.
        rule: One species or many: each has its metrics.
        model_version: The model that answered.
        species_count: How many species it knows, for the chance level.
        flow_run_id: The flow run that writes.
        trained_on: Data set and split that the model has learnt from: what is known there is enough for answers that
            never look at a photograph, which are scored beside it; None where nobody knows.
    """
    given, changes, splits = tables.latest(lake, "labels", "taxon_changes", "splits")
    truth = query.answer(
        None,
        "evaluate/single_truth" if rule.species == ONE else "evaluate/truth",
        frames={"current_labels": labels.current(lake, scope.dataset, (given, changes)), "scope": scope.observations},
    )
    scored = len(set(truth["observation_id"].to_pylist()))
    if not scored:
        raise LakeError(f"every scored observation of {scope.dataset!r} holds several species: say --species many")
    # A model that learnt before a species was renamed or merged is not wrong for saying its old name.
    accepted = {"answers": decision.answers, "accepted_species": labels.accepted_species(lake, changes)}
    answers = query.answer(None, "evaluate/accepted_answers", frames=accepted)
    frames = {"truth": truth, "answers": answers}
    question = "evaluate/single_label_metrics" if rule.species == ONE else "evaluate/multi_label_metrics"
    metrics = _by_metric(query.answer(None, question, frames=frames))
    beside: dict[str, dict[str, float]] = {}
    if rule.species == ONE:
        metrics |= _tracks(lake, frames, metrics["macro_f1"])
        if trained_on is not None:
            beside = baselines.of_observations(lake, scope.dataset, scope.observations, truth, *trained_on)
    chance = _by_metric(query.answer(None, "evaluate/chance_level", frames=frames, species_count=species_count))
    scored_rows = answers.select(["observation_id", "species_id", "rank", "is_answer"]).to_pylist()
    evaluation_id = tables.digest(
        [decision.decision_id, tables.digest(truth.to_pylist()), tables.digest(scored_rows), repr((metrics, beside))]
    )
    snapshots = (*decision.snapshots, given, changes, splits)
    slices = {"all": metrics, **{f"{WITHOUT_LOOKING}{who}": scores for who, scores in beside.items()}}
    rows = [
        {
            "evaluation_id": evaluation_id,
            "metric": metric,
            "slice": part,
            "value": value,
            "decision_id": decision.decision_id,
            "dataset": scope.dataset,
            "split": scope.split,
            "model_version": model_version,
            "observation_count": scored,
            "snapshots": tables.describe(snapshots),
            "evaluated_at": datetime.now(UTC),
            "flow_run_id": flow_run_id,
        }
        for part, scores in slices.items()
        for metric, value in scores.items()
    ]
    done = tables.append(lake, "evaluations", pa.Table.from_pylist(rows, schema=TABLES["evaluations"].columns))
    return Evaluation(
        evaluation_id,
        metrics,
        {metric: value for metric, value in chance.items() if metric in metrics},
        beside,
        scored,
        snapshots,
        done.row_count > 0,
    )


def illustrate(
    lake: Lake,
    dataset: str,
    decision_id: str,
    observation_id: str,
    embedding_key: str,
    scheme_id: str,
    model_version: str,
) -> Illustration:
    """Return the first photograph of an observation with its tiles, and the names of what was found and what is there.

    Args:
        lake: The place of the tables.
        dataset: Where the observation is from.
        decision_id: What was found.
        observation_id: The observation.
        embedding_key: Under which its tiles were embedded.
        scheme_id: How it was cut.
        model_version: Who predicted.
    """
    names = ("image_records", "images", "embeddings", "tile_predictions", "species", "observation_predictions")
    records, images, vectors, predictions, species, answers = tables.latest(lake, *names)
    photographs = query.answer(
        lake, "decide/photographs_of_observation", [records], dataset=dataset, observation_id=observation_id
    )
    image_id = photographs["image_id"][0].as_py()
    called = query.answer(lake, "labels/current_species", [species])
    name_of = dict(zip(called["species_id"].to_pylist(), called["scientific_name"].to_pylist(), strict=True))
    tiles = query.answer(
        lake,
        "decide/tiles_of_observation",
        [vectors, predictions],
        embedding_key=embedding_key,
        image_id=image_id,
        scheme_id=scheme_id,
        model_version=model_version,
    ).to_pylist()
    return Illustration(
        image_name=photographs["image_name"][0].as_py(),
        content=images_of(lake, images, [image_id])[image_id],
        tiles=[
            {
                **{edge: tile[edge] for edge in ("x0", "y0", "x1", "y1", "probability")},
                "name": name_of.get(tile["species_id"], tile["species_id"]),
            }
            for tile in tiles
        ],
        found=[
            name_of.get(row["species_id"], row["species_id"])
            for row in query.answer(
                lake, "decide/answer_of_observation", [answers], decision_id=decision_id, observation_id=observation_id
            ).to_pylist()
        ],
        truth=[
            name_of.get(row["species_id"], row["species_id"])
            for row in labels.current(lake, dataset).to_pylist()
            if row["observation_id"] == observation_id
        ],
    )


def _tracks(lake: Lake, frames: Mapping[str, pa.Table], macro_f1: float) -> dict[str, float]:
    """Return SnakeCLEF's two tracks, where a venomous species is known."""
    (species,) = tables.latest(lake, "species")
    known = query.answer(lake, "labels/current_species", [species])
    if not pc.any(known["is_venomous"]).as_py():
        return {}
    seen = {**frames, "current_species": known}
    return _by_metric(query.answer(None, "evaluate/venomous_tracks", frames=seen, macro_f1=macro_f1))


def _by_metric(rows: pa.Table) -> dict[str, float]:
    return {row["metric"]: float(row["value"]) for row in rows.to_pylist()}
