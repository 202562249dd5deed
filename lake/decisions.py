"""From tile predictions to species of observations, and from those to scores. The rules are SQL files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake import labels, query, tables, weighing
from lake.embeddings import images_of
from lake.errors import LakeError
from lake.rules import COSTS, MANY, ONE, DecisionRule, PriorUse
from lake.schemas import TABLES
from lake.tables import Appended, Lake, Snapshot
from lake.weighing import Effect

_ALL_TILES = (0, 1 << 30)


@dataclass(frozen=True)
class Scope:
    """The observations that a prediction or an evaluation is about."""

    dataset: str
    split: str  # train, val, test or all
    observations: pa.Table  # observation_id


@dataclass(frozen=True)
class Part:
    """Tiles that count, as the rule calls them and where their predictions stand."""

    name: str
    scheme_id: str
    first_tile: int = _ALL_TILES[0]
    last_tile: int = _ALL_TILES[1]


@dataclass(frozen=True)
class Decision:
    """A rule that was applied to the tiles of some observations."""

    decision_id: str
    scope: Scope
    species: str  # one or many in an observation
    model_version: str
    answers: pa.Table  # observation_id, species_id, score, votes, rank, is_answer
    snapshots: tuple[Snapshot, ...]
    committed: bool
    effects: tuple[Effect, ...] = ()  # of the rule's priors


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
    rows = _labelled(lake, dataset, split_id)
    sides = set(rows["split"].to_pylist())
    if not rows.num_rows:
        raise LakeError(f"no observation of {dataset!r} is labelled: there is nothing to score answers against")
    split = next((side for side in ("test", "val") if side in sides), "all")
    chosen = rows if split == "all" else rows.filter(pc.equal(rows["split"], split))
    return Scope(dataset, split, chosen.select(["observation_id"]))


def _labelled(lake: Lake, dataset: str, split_id: str) -> pa.Table:
    """Return the labelled observations of a data set: observation_id, split (null where nobody has said)."""
    records, splits = tables.latest(lake, "image_records", "splits")
    tags = query.answer(lake, "labels/observation_tags", [records], dataset=dataset)
    frames = {"tags": tags, "current_labels": labels.current(lake, dataset)}
    return query.answer(lake, "evaluate/labelled_observations", [splits], frames, split_id=split_id)


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


def predicted_schemes(lake: Lake, dataset: str, model_version: str) -> list[str]:
    """Return the tilings of which a model has predicted tiles of a data set."""
    seen = tables.latest(lake, "image_records", "tile_predictions")
    rows = query.answer(lake, "pending/predicted_schemes", seen, dataset=dataset, model_version=model_version)
    schemes: list[str] = rows["scheme_id"].to_pylist()
    return schemes


def split_scope(lake: Lake, dataset: str, split_id: str, side: str) -> Scope | None:
    """Return the labelled observations of one side of a data set, None where it has none there."""
    rows = _labelled(lake, dataset, split_id)
    chosen = rows.filter(pc.equal(rows["split"], side)) if side != "all" else rows
    return Scope(dataset, side, chosen.select(["observation_id"])) if chosen.num_rows else None


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
    lake: Lake,
    scope: Scope,
    scheme_id: str,
    model_version: str,
    rule: DecisionRule,
    flow_run_id: str,
    parts: Sequence[Part] | None = None,
) -> Decision:
    """Apply a rule to the tile predictions of a scope and store what it decided.

    The same rule on the same answers has the same id and is stored once. The decision is committed after its
    answers: readers start from it.

    Args:
        lake: The place of the tables.
        scope: The observations to answer.
        scheme_id: The tiles that count, joined by a plus.
        model_version: The model whose predictions count.
        rule: The rule.
        flow_run_id: The flow run that writes.
        parts: Where the predictions of these tiles stand, if not under their own names.

    Raises:
        LakeError: If a prior or the grouping of the rule does nothing, or a prior is not there.
    """
    rule = rule.at(scheme_id)
    snapshots = tables.latest(lake, *read_by(rule))
    uses = weighing.resolved(lake, rule, scope.dataset)
    answers, effects = _answer(lake, snapshots, {}, scope, model_version, rule, parts, uses)
    decision_id = tables.digest(
        [
            rule.spec,
            [use.prior for use in uses],
            model_version,
            scope.dataset,
            scope.split,
            tables.digest(scope.observations["observation_id"].to_pylist()),
            tables.digest(answers.select(["observation_id", "species_id", "votes", "rank", "is_answer"]).to_pylist()),
        ]
    )
    spec = {**rule.spec, "prior_ids": [use.prior for use in uses]} if uses else rule.spec
    stored = store(lake, scope, answers, decision_id, spec, rule.rule_id, model_version, snapshots, flow_run_id)
    return replace(stored, effects=effects)


def store(
    lake: Lake,
    scope: Scope,
    answers: pa.Table,
    decision_id: str,
    spec: Mapping[str, Any],
    rule_id: str,
    model_version: str,
    snapshots: tuple[Snapshot, ...],
    flow_run_id: str,
) -> Decision:
    """Append the answers, then the decision: a decision that is there is whole.

    Args:
        lake: The place of the tables.
        scope: The observations that were answered.
        answers: observation_id, species_id, score, votes, rank, is_answer.
        decision_id: The hash of all that they depend on.
        spec: Of the rule.
        rule_id: Of the rule.
        model_version: Who predicted.
        snapshots: What was read.
        flow_run_id: The flow run that writes.
    """
    rows = answers
    for name, value in {"decision_id": decision_id, "flow_run_id": flow_run_id}.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
    tables.append(lake, "observation_predictions", rows)
    row = {
        "decision_id": decision_id,
        "dataset": scope.dataset,
        "model_version": model_version,
        "scheme_id": spec["tilings"],
        "split": scope.split,
        "rule_id": rule_id,
        "rule": tables.canonical_json(spec),
        "observation_count": scope.observations.num_rows,
        "unanswered": tables.canonical_json(_unanswered(scope, answers)),
        "snapshots": tables.describe(snapshots),
        "decided_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    done = tables.append(lake, "decisions", pa.Table.from_pylist([row], schema=TABLES["decisions"].columns))
    return Decision(decision_id, scope, rule_species(spec), model_version, answers, snapshots, done.row_count > 0)


def find(lake: Lake, decision_id: str) -> Decision:
    """Return a stored decision with its answers.

    Args:
        lake: The place of the tables.
        decision_id: The first signs of its id will do.

    Raises:
        LakeError: If there is none, or several begin so.
    """
    stored, predicted = tables.latest(lake, "decisions", "observation_predictions")
    with query.session(lake, [stored, predicted]) as ask:
        found = ask.answer("decide/decisions_named", beginning=decision_id).to_pylist()
        if len(found) != 1:
            which = ", ".join(row["decision_id"] for row in found[:5])
            raise LakeError(
                f'there is no decision {decision_id!r}: `taxalake sql "select decision_id, dataset, split, '
                f'model_version from decisions order by decided_at"` lists them'
                if not found
                else f"{len(found)} decisions begin with {decision_id!r}: {which}, ...; say more of the id"
            )
        row = found[0]
        answers = ask.answer("decide/answers_of_decision", decision_id=row["decision_id"])
    answered = sorted({*answers["observation_id"].to_pylist(), *json.loads(row["unanswered"])})
    scope = Scope(row["dataset"], row["split"], pa.table({"observation_id": pa.array(answered, pa.string())}))
    kind = rule_species(json.loads(row["rule"]))
    return Decision(row["decision_id"], scope, kind, row["model_version"], answers, (stored, predicted), False)


def rule_species(spec: Mapping[str, Any]) -> str:
    """Return how many species an observation holds, one or many, as a rule says it."""
    return str(spec["species"])


def _unanswered(scope: Scope, answers: pa.Table) -> list[str]:
    answered = set(answers.filter(answers["is_answer"])["observation_id"].to_pylist())
    return [one for one in scope.observations["observation_id"].to_pylist() if one not in answered]


def answer(
    lake: Lake | None,
    snapshots: tuple[Snapshot, ...],
    frames: Mapping[str, pa.Table],
    scope: Scope,
    scheme_id: str,
    model_version: str,
    rule: DecisionRule,
    parts: Sequence[Part] | None = None,
) -> pa.Table:
    """Apply a rule and store nothing: observation_id, species_id, score, votes, rank, is_answer.

    Args:
        lake: The place of the snapshots; None where frames stand for the tables.
        snapshots: Of the tables that ``read_by`` names.
        frames: The same as Arrow tables, where there are no snapshots.
        scope: The observations to answer.
        scheme_id: The tiles that count, joined by a plus.
        model_version: The model whose predictions count.
        rule: The rule.
        parts: Where the predictions of these tiles stand, if not under their own names.

    Raises:
        LakeError: If a prior or the grouping of the rule does nothing, or a prior is not there; without a lake none is.
    """
    rule = rule.at(scheme_id)
    if rule.priors and lake is None:
        raise LakeError("the rule has priors, which lie in a lake, and none was given to look them up in")
    uses = weighing.resolved(lake, rule, scope.dataset) if lake is not None else ()
    return _answer(lake, snapshots, frames, scope, model_version, rule, parts, uses)[0]


def _answer(
    lake: Lake | None,
    snapshots: tuple[Snapshot, ...],
    frames: Mapping[str, pa.Table],
    scope: Scope,
    model_version: str,
    rule: DecisionRule,
    parts: Sequence[Part] | None,
    uses: Sequence[PriorUse],
) -> tuple[pa.Table, tuple[Effect, ...]]:
    seen = {**frames, "scope": scope.observations, "parts": as_frame(parts or parts_of(rule.tilings))}
    with query.session(lake, snapshots, seen) as ask:
        pool(ask, scope.dataset, model_version, rule)
        effects = [weighing.weigh(ask, scope.dataset, use, rule.pools_scores) for use in uses]
        if rule.grouping:
            ask.show("base_quadrats", base_quadrats(ask, scope.dataset))
        if rule.cost or rule.venomous_share:
            ask.show("venomous_species", venomous_species(ask))
        answers = choose(ask, rule, scope.observations.num_rows)
    return answers, tuple(effect for effect in effects if effect is not None)


def read_by(rule: DecisionRule) -> tuple[str, ...]:
    """Return the tables that a rule needs."""
    names = ["image_records", "tile_predictions"]
    if rule.cost or rule.venomous_share:
        names.append("species")
    return (*names, *(("prior_specs", "prior_places", "priors") if rule.priors else ()))


def parts_of(tilings: str) -> list[Part]:
    """Return whole tilings, joined by a plus, as what counts."""
    return [Part(scheme_id, scheme_id) for scheme_id in tilings.split("+")]


def as_frame(parts: Sequence[Part]) -> pa.Table:
    """Return parts as a frame of questions: part (their number), scheme_id, first_tile, last_tile."""
    return pa.table(
        {
            "part": pa.array(range(len(parts)), pa.int32()),
            "scheme_id": pa.array([part.scheme_id for part in parts], pa.string()),
            "first_tile": pa.array([part.first_tile for part in parts], pa.int32()),
            "last_tile": pa.array([part.last_tile for part in parts], pa.int32()),
        }
    )


def pool(ask: query.Session, dataset: str, model_version: str, rule: DecisionRule) -> None:
    """Let ``scores`` be what the tiles of each observation say of each species."""
    params: dict[str, object] = {
        "dataset": dataset,
        "model_version": model_version,
        "counted_ranks": rule.counted_ranks,
        "voting_ranks": rule.voting_ranks,
        "min_probability": rule.min_probability,
    }
    if rule.pools_by == "confidence":
        ask.keep("scores", "decide/confidence_scores", **params)
    else:
        ask.keep("scores", "decide/pooled_scores", **params, pooling=rule.pools_by)


def choose(ask: query.Session, rule: DecisionRule, observation_count: int) -> pa.Table:
    """Turn scores into answers: observation_id, species_id, score, votes, rank, is_answer.

    Args:
        ask: Sees ``scores``; ``base_quadrats`` where the rule groups, ``venomous_species`` where it asks for them.
        rule: The rule.
        observation_count: How many observations are answered, for a mean number of species.
    """
    if rule.species == ONE:
        return _one_each(ask, rule)
    if rule.grouping:
        ask.keep("scores", "decide/grouped_scores", grouping=rule.grouping, min_votes=rule.votes_needed)
    threshold = rule.threshold
    if rule.mean_species is not None:
        threshold = ask.answer(
            "decide/target_threshold",
            mean_species=rule.mean_species,
            observation_count=observation_count,
            min_votes=rule.votes_needed,
        )["threshold"][0].as_py()
    return ask.answer(
        "decide/chosen_species",
        pools_scores=rule.pools_scores,
        min_votes=rule.votes_needed,
        threshold=threshold,
        least_species=rule.least_species,
        most_species=rule.most,
    )


def base_quadrats(ask: query.Session, dataset: str) -> pa.Table:
    """Return the base quadrat of each observation of a scope: observation_id, base_quadrat (null where unknown).

    Args:
        ask: Sees ``image_records`` and ``scope``.
        dataset: Where the observations are from.

    Raises:
        LakeError: If none has one: no dates would be pooled.
    """
    found = ask.answer("decide/base_quadrats", dataset=dataset)
    if found["base_quadrat"].null_count == found.num_rows:
        raise LakeError(
            f"the rule's grouping pools the dates of a base quadrat, and none of {found.num_rows} observations of "
            f"{dataset!r} has a base quadrat: leave grouping out, or take in a table with a column base_quadrat"
        )
    return found


def venomous_species(ask: query.Session) -> pa.Table:
    """Return the species known to be venomous: species_id.

    Raises:
        LakeError: If there is none.
    """
    venomous = ask.answer("decide/venomous_species")
    if not venomous.num_rows:
        raise LakeError(
            "the rule weighs mistakes by venomous species, and no species is known to be venomous: "
            "`taxalake ingest snakeclef --venomous` says which are"
        )
    return venomous


def _one_each(ask: query.Session, rule: DecisionRule) -> pa.Table:
    if rule.cost:
        ask.show("costs", costs(rule.cost))
        answers = ask.answer("decide/least_costly_species", candidates=rule.candidates)
    else:
        answers = ask.answer("decide/ranked_species", pools_scores=rule.pools_scores, candidates=rule.candidates)
    if rule.venomous_share:
        ask.show("answers", answers)
        answers = ask.answer("decide/warned_answers", venomous_share=rule.venomous_share)
    return answers


def costs(name: str) -> pa.Table:
    """Return what mistakes cost, by the name in ``COSTS``: is_truth_venomous, is_answer_venomous, cost."""
    rows = [
        {"is_truth_venomous": truth == "venomous", "is_answer_venomous": answered == "venomous", "cost": cost}
        for truth, costs in COSTS[name].items()
        for answered, cost in costs.items()
    ]
    return pa.Table.from_pylist(rows)


def illustrate(
    lake: Lake,
    dataset: str,
    decision_id: str,
    observation_id: str,
    embedding_key: str,
    parts: Sequence[Part],
    model_version: str,
) -> Illustration:
    """Return the first photograph of an observation with its tiles, and the names of what was found and what is there.

    Args:
        lake: The place of the tables.
        dataset: Where the observation is from.
        decision_id: What was found.
        observation_id: The observation.
        embedding_key: Under which its tiles were embedded.
        parts: How it was cut; the tiles of the one with the smallest tiles are returned.
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
        {"parts": as_frame(parts)},
        embedding_key=embedding_key,
        image_id=image_id,
        model_version=model_version,
    ).to_pylist()
    smallest = min(tiles, key=lambda tile: (tile["x1"] - tile["x0"]) * (tile["y1"] - tile["y0"]), default={"part": 0})
    tiles = [tile for tile in tiles if tile["part"] == smallest["part"]]
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
