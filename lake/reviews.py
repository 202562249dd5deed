"""The review queue: the observations of a decision that a person should look at, most worth it first, and why.

What makes one worth a look is asked in ``sql/review``, one reason a file.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa

from lake import decisions, labels, query, tables
from lake.corrections import NOTE, OBSERVATION, REVIEWER, SEPARATOR, SPECIES, harmless
from lake.decisions import Decision, Part
from lake.rules import ONE, DecisionRule
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

# To be filled in are the last three; the rest says what to look at.
TO_FILL_IN = (SPECIES, REVIEWER, NOTE)
COLUMNS = (OBSERVATION, "images", "answer", "answer_name", "probability", "others", "reasons", *TO_FILL_IN)
_READ = (
    *("image_records", "tile_predictions", "labels", "taxon_changes", "species"),
    *("decisions", "observation_predictions"),
)


@dataclass(frozen=True)
class ReviewRule:
    """What makes an observation worth a look."""

    least_probability: float = 0.5  # an answer under it is as likely wrong as right
    least_margin: float = 0.1  # to the next species: nearer ones change places with the next training
    sure: float = 0.9  # an answer that contradicts a label speaks from here on
    few: int = 5  # training observations: a species with fewer is hardly known
    cost: str = "snakeclef"  # of COSTS
    least_cost: float = 0.5  # expected; 1 is what a certain mistake among harmless species costs
    least_share: float = 0.05  # of all probability: a venomous species with less is not in play
    runners_up: int = 4  # species shown beside the answer


@dataclass(frozen=True)
class Reason:
    """Why a person should look."""

    reason: str
    detail: str
    weight: float


@dataclass(frozen=True)
class ShownSpecies:
    """A species that an observation may show."""

    species_id: str
    scientific_name: str
    probability: float | None  # None: the rule has answered what no tile has among its best
    is_answer: bool


@dataclass(frozen=True)
class Entry:
    """One observation of the queue."""

    observation_id: str
    image_ids: list[str]  # by name
    image_names: list[str]
    species: list[ShownSpecies]  # answers first, then the most probable others
    reasons: list[Reason]  # the weightiest first


@dataclass(frozen=True)
class Queue:
    """What a person should look at, the most worth it first."""

    review_id: str
    entries: list[Entry]
    species: list[tuple[str, str]]  # (species_id, scientific_name) of all that are known
    snapshots: tuple[Snapshot, ...]
    committed: bool


@dataclass(frozen=True)
class Training:
    """What a model has learnt from."""

    dataset: str
    split_id: str
    snapshots: Sequence[Snapshot]  # of ``labels.EXAMPLE_TABLES``


def enqueue(
    lake: Lake,
    decision: Decision,
    parts: Sequence[Part],
    rivals: Sequence[str],
    training: Training | None,
    most: int,
    flow_run_id: str,
    rule: ReviewRule | None = None,
) -> Queue:
    """Find the observations that are worth a look and store why, once.

    Args:
        lake: The place of the tables.
        decision: What was answered.
        parts: Where the predictions of its tiles stand.
        rivals: Other models, as tables name them: their newest decisions are held against this one.
        training: What the model has learnt from; None where nobody knows.
        most: How many observations a person looks at.
        flow_run_id: The flow run that writes.
        rule: What makes an observation worth a look.
    """
    rule = rule or ReviewRule()
    snapshots = tables.latest(lake, *_READ)
    frames = {"scope": decision.scope.observations, "parts": decisions.as_frame(parts)}
    with query.session(lake, snapshots, frames) as ask:
        reasons = _reasons(ask, lake, decision, rivals, training, rule)
        ask.show("reasons", reasons)
        found = ask.answer("review/queue", most=most)
        ask.show("queue", found)
        entries = _entries(
            found,
            ask.answer("review/shown_species", runners_up=rule.runners_up),
            ask.answer("review/photographs", dataset=decision.scope.dataset),
        )
        named = ask.answer("labels/current_species")
    species = list(zip(named["species_id"].to_pylist(), named["scientific_name"].to_pylist(), strict=True))
    rows = found.to_pylist()
    review_id = tables.digest([decision.decision_id, most, asdict(rule), rows])
    constants = {
        "review_id": review_id,
        "dataset": decision.scope.dataset,
        "model_version": decision.model_version,
        "decision_id": decision.decision_id,
        "snapshots": tables.describe(snapshots),
        "queued_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    written = pa.Table.from_pylist([{**row, **constants} for row in rows], schema=TABLES["reviews"].columns)
    done = tables.append(lake, "reviews", written)
    return Queue(review_id, entries, species, snapshots, done.row_count > 0)


def cells(entry: Entry) -> list[str]:
    """Return what a table says of an observation: the columns before those that are to be filled in."""
    answers = [one for one in entry.species if one.is_answer]
    others = [f"{one.scientific_name} ({one.species_id}){_sure(one)}" for one in entry.species if not one.is_answer]
    said = [
        entry.observation_id,
        "; ".join(entry.image_names),
        SEPARATOR.join(one.species_id for one in answers),
        SEPARATOR.join(one.scientific_name for one in answers),
        SEPARATOR.join(_sure(one).strip() for one in answers),
        "; ".join(others),
        "; ".join(f"{one.reason}: {one.detail}" for one in entry.reasons),
    ]
    return [harmless(cell) for cell in said]


def as_csv(entries: Sequence[Entry]) -> str:
    """Return the queue as a table for people to fill in, which ``corrections.read`` takes."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([*cells(entry), *("" for _ in TO_FILL_IN)] for entry in entries)
    return text.getvalue()


def _reasons(
    ask: query.Session,
    lake: Lake,
    decision: Decision,
    rivals: Sequence[str],
    training: Training | None,
    rule: ReviewRule,
) -> pa.Table:
    """Return observation_id, reason, weight, detail: all that speaks for a look."""
    dataset, is_one = decision.scope.dataset, decision.species == ONE
    asked = {"dataset": dataset, "model_version": decision.model_version, "is_one": is_one}
    ask.show("rivals", pa.table({"model_version": pa.array(rivals, pa.string())}))
    ask.show("current_labels", labels.current_in(ask, dataset))
    ask.keep("current_species", "labels/current_species")
    ask.keep("reviewed_observations", "review/reviewed_observations", dataset=dataset)
    ask.show("answers", decision.answers)
    ask.show("answers", ask.answer("evaluate/accepted_answers"))
    # Whatever the rule ranks by: how sure the model is, is a probability.
    decisions.pool(ask, dataset, decision.model_version, DecisionRule(decision.species, pooling=_pooling(is_one)))
    ask.keep("probabilities", "review/probabilities", is_one=is_one)
    ask.keep("scheme_answers", "review/scheme_answers", **asked)
    ask.keep("model_answers", "review/model_answers", dataset=dataset, kind=decision.species)
    return pa.concat_tables(
        [
            one.select(["observation_id", "reason", "weight", "detail"])
            for one in _asked(ask, lake, is_one, training, rule)
        ]
    )


def _asked(
    ask: query.Session, lake: Lake, is_one: bool, training: Training | None, rule: ReviewRule
) -> Iterator[pa.Table]:
    yield ask.answer("review/unanswered_observations")
    yield ask.answer("review/doubted_labels", sure=rule.sure)
    yield ask.answer("review/scheme_disagreements")
    yield ask.answer("review/model_disagreements")
    yield ask.answer(
        "review/low_confidence",
        is_one=is_one,
        least_probability=rule.least_probability,
        least_margin=rule.least_margin,
    )
    if is_one:
        # Where no species is known to be venomous, none is in play.
        ask.keep("venomous_species", "decide/venomous_species")
        ask.show("costs", decisions.costs(rule.cost))
        yield ask.answer("review/costly_mistakes", least_cost=rule.least_cost, least_share=rule.least_share)
    if training is not None:
        ask.show("train_counts", _train_counts(ask, lake, training))
        yield ask.answer("review/rarely_learnt_species", few=rule.few)


def _train_counts(ask: query.Session, lake: Lake, training: Training) -> pa.Table:
    """Return species_id, train_count: how many observations a model has learnt of each species, as it is called now."""
    examples = labels.training_examples(lake, training.dataset, training.split_id, training.snapshots)
    rows = set(zip(examples.observation_ids, examples.species_ids, examples.splits, strict=True))
    became = ask.answer("labels/accepted_species")
    accepted = dict(zip(became["species_id"].to_pylist(), became["accepted_id"].to_pylist(), strict=True))
    counts = Counter(accepted.get(species_id) or species_id for _, species_id, side in rows if side == "train")
    return pa.table(
        {
            "species_id": pa.array(list(counts), pa.string()),
            "train_count": pa.array(list(counts.values()), pa.int64()),
        }
    )


def _entries(queue: pa.Table, species: pa.Table, photographs: pa.Table) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for row in queue.to_pylist():
        entry = entries.setdefault(row["observation_id"], Entry(row["observation_id"], [], [], [], []))
        entry.reasons.append(Reason(row["reason"], row["detail"], row["weight"]))
    for row in species.to_pylist():
        entries[row.pop("observation_id")].species.append(ShownSpecies(**row))
    for row in photographs.to_pylist():
        entry = entries[row["observation_id"]]
        entry.image_ids.append(row["image_id"])
        entry.image_names.append(row["image_name"])
    return list(entries.values())


def _pooling(is_one: bool) -> str:
    """Of one organism all tiles speak, of a quadrat the one that shows the species."""
    return "mean" if is_one else "max"


def _sure(one: ShownSpecies) -> str:
    return "" if one.probability is None else f" {one.probability:.2f}"
