"""Answers against truth: every metric of its kind, over everything and over slices, each with its range.

The values come from the questions of ``lake/sql/evaluate``, the ranges from resamples. Reads no table and writes none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lake import query, resampling, tables
from lake.errors import LakeError
from lake.resampling import Estimate, Flags, Integers, Resamples

Kind = Literal["one", "many"]
UNITS = ("transect", "base_quadrat", "site")
ALL = "all"
LESS_IS_BETTER = frozenset({"snakeclef_track2"})
MOST_PARTS = 200  # values of a fact that are slices: each takes a moment, and nobody reads thousands
# By the name of the slices' kind the column of the facts that they are cut by.
_FACTS = {"site": "site", "month": "month", "country": "country_code", "organ": "organ"}
_SUPPORTS = {"0": (0, 0), "1-9": (1, 9), "10-99": (10, 99), "100+": (100, None)}  # observations in training
_SPECIES_METRICS = ("precision", "recall", "f1")
_QUESTIONS = (
    "evaluate/class_set_metrics",
    "evaluate/multi_label_metrics",
    "evaluate/observation_f1",
    "evaluate/precision_and_recall",
    "evaluate/single_label_metrics",
    "evaluate/species_f1",
    "evaluate/top10_accuracy",
    "evaluate/transect_metrics",
    "evaluate/venomous_tracks",
)


@dataclass(frozen=True)
class Score:
    """A metric of some observations, with the range that 95 of 100 resamples give."""

    metric: str
    slice: str  # all, or KIND:VALUE
    value: float
    low: float | None  # None where nothing can be resampled: a single observation, a single species
    high: float | None
    count: int  # observations of the slice


@dataclass(frozen=True)
class Difference:
    """A metric of two answers to the same observations, and whether they differ by more than chance."""

    metric: str
    a: float
    b: float
    difference: float  # what b has more than a
    low: float | None
    high: float | None
    is_real: bool


@dataclass(frozen=True)
class Comparison:
    """Two answers to the same observations."""

    differences: tuple[Difference, ...]  # one per metric
    better: int  # observations that b answers better than a: its species right, or a higher F1
    worse: int
    same: int


@dataclass(frozen=True, eq=False)
class _Judged:
    """Truth and the answers to it: as tables for questions, and in the same order as numbers for resamples."""

    kind: Kind
    truth: pa.Table  # observation_id, species_id
    answers: pa.Table  # observation_id, species_id, rank, is_answer: of observations with truth alone
    observation: Integers  # of each row of truth, 0 to N - 1
    species: Integers
    answer_observation: Integers  # of each row of answers
    answer_species: Integers
    is_venomous: Flags | None  # of each species; None where nobody knows of any
    size: int  # N

    def of_truth(self, chosen: Flags) -> "_Judged":
        """Return what is left where only some rows of truth are scored."""
        kept, observation = np.unique(self.observation[chosen], return_inverse=True)
        place = np.full(self.size, -1)
        place[kept] = np.arange(len(kept))
        of_answers = place[self.answer_observation]
        is_asked = of_answers >= 0
        return replace(
            self,
            truth=self.truth.filter(pa.array(chosen)),
            answers=self.answers.filter(pa.array(is_asked)),
            observation=observation,
            species=self.species[chosen],
            answer_observation=of_answers[is_asked],
            answer_species=self.answer_species[is_asked],
            size=len(kept),
        )

    def estimates(
        self, species_count: int, draws: Resamples, transects: Resamples | None = None
    ) -> dict[str, Estimate]:
        """Return all metrics of the kind, resampled."""
        if self.kind == "one":
            return resampling.one_species(*self.best_answers, species_count, draws, self.is_venomous)
        return resampling.many_species(*self.pairs, species_count, draws, transects)

    @property
    def of_observations(self) -> NDArray[np.float64]:
        """How well each observation is answered: (N,), whether its species is right, or its F1."""
        if self.kind == "one":
            true, answered, _ = self.best_answers
            is_right: NDArray[np.bool_] = true == answered
            return is_right.astype(np.float64)
        observation, _, is_true, is_answered = self.pairs
        f1, *_ = resampling.f1_of_observations(observation, is_true, is_answered, self.size)
        return f1

    @cached_property
    def best_answers(self) -> tuple[Integers, Integers, Integers]:
        """Of each observation its species, the answered one or -1, and which place the true one has or 0."""
        true, answered, true_rank = np.full(self.size, -1), np.full(self.size, -1), np.zeros(self.size, np.int64)
        true[self.observation] = self.species
        ranks = self.answers["rank"].to_numpy()
        is_best = ranks == 1
        answered[self.answer_observation[is_best]] = self.answer_species[is_best]
        is_right = true[self.answer_observation] == self.answer_species
        true_rank[self.answer_observation[is_right]] = ranks[is_right]
        return true, answered, true_rank

    @cached_property
    def pairs(self) -> tuple[Integers, Integers, Flags, Flags]:
        """Pairs of observation and species that are true or answered, and which they are."""
        is_given = self.answers["is_answer"].to_numpy(zero_copy_only=False)
        given = self.answer_observation[is_given], self.answer_species[is_given]
        return resampling.pairs(self.observation, self.species, *given)


def metric_version() -> str:
    """Return the hash of the questions that scores are computed by: other questions, another version."""
    return tables.digest({name: (query.SQL / f"{name}.sql").read_text(encoding="utf-8") for name in _QUESTIONS})


def scores(
    truth: pa.Table,
    answers: pa.Table,
    facts: pa.Table,
    kind: Kind,
    current_species: pa.Table,
    train_counts: pa.Table,
    species_count: int,
    unit: str = "transect",
    seed: int = 0,
) -> list[Score]:
    """Score answers by every metric of their kind.

    Args:
        truth: observation_id, species_id: one row per true species of the observations that are scored.
        answers: observation_id, species_id, rank, is_answer. An observation without an answer is a miss; answers to
            observations without truth are not scored. The answer of one species is the one of rank 1.
        facts: observation_id, country_code, month, site, transect, base_quadrat, organ: one row per observation.
        kind: How many species an observation holds, one or many.
        current_species: species_id, is_venomous: one row per species.
        train_counts: species_id, train_count: observations that training saw; of a species that is not here none.
        species_count: How many species the model knows.
        unit: What macro_f1_per_transect takes for a transect: transect, base_quadrat or site.
        seed: Of the resamples.

    Returns:
        Of the slice ``all`` every metric: of many species macro_f1_per_observation, macro_f1_per_species,
        macro_f1_per_true_species, macro_f1_per_known_species, macro_f1_per_transect, micro_f1, precision, recall,
        mean_species; of one accuracy, top5_accuracy, top10_accuracy, macro_f1, macro_f1_per_true_species,
        macro_f1_per_known_species, weighted_f1 and, where a venomous species is known, SnakeCLEF's two tracks.

        Of site:, month:, country:, organ: VALUE, accuracy and macro_f1, or macro_f1_per_observation and micro_f1;
        observations of which a fact is not known are in no slice of it, where all have the same there is none, and of
        more than ``MOST_PARTS`` values those with most observations are taken. Of
        support:0, 1-9, 10-99 and 100+ (what training saw of the true species) the same of one species, and of many
        the recall. Of species:ID precision (where it was answered), recall (where it is true) and f1, without range;
        they count the observations where it is true.

    Raises:
        LakeError: If there is no truth, or the kind is one and an observation has several species or best answers, or
            there is no such kind or unit.
    """
    judged = _judged(truth, answers, kind, current_species)
    transects = Resamples(_units(facts, judged, unit), seed=seed) if kind == "many" else None
    draws = Resamples.of_observations(judged.size, seed=seed)
    shown = {"facts": facts, "current_species": current_species}
    with query.session(None, frames={**shown, "truth": judged.truth, "answers": judged.answers}) as ask:
        species = ask.answer("evaluate/species_f1")
        values = _values(ask, judged, species, species_count, unit)
        ranges = judged.estimates(species_count, draws, transects)
        found = _with_ranges(ALL, values, ranges, judged.size)
        for name, question, metrics, part in _slices(judged, facts, train_counts):
            ask.show("truth", part.truth)
            ask.show("answers", part.answers)
            if question == "evaluate/precision_and_recall":
                ask.show("species_f1", ask.answer("evaluate/species_f1"))
            values = _by_metric(ask.answer(question))
            ranges = part.estimates(species_count, Resamples.of_observations(part.size, seed=seed))
            found += _with_ranges(name, {metric: values[metric] for metric in metrics}, ranges, part.size)
    for row in species.to_pylist():
        found += [
            Score(metric, f"species:{row['species_id']}", row[metric], None, None, row["support"])
            for metric in _SPECIES_METRICS
            if row[metric] is not None
        ]
    return found


def compare(
    truth: pa.Table,
    answers_a: pa.Table,
    answers_b: pa.Table,
    facts: pa.Table,
    kind: Kind,
    current_species: pa.Table,
    species_count: int,
    unit: str = "transect",
    seed: int = 0,
) -> Comparison:
    """Compare two answers to the same observations, in the same resamples.

    Args:
        truth: observation_id, species_id: one row per true species of the observations that are scored.
        answers_a: observation_id, species_id, rank, is_answer: of the one.
        answers_b: The same of the other.
        facts: observation_id, country_code, month, site, transect, base_quadrat, organ: one row per observation.
        kind: How many species an observation holds, one or many.
        current_species: species_id, is_venomous: one row per species.
        species_count: How many species the models know; of two that know different ones the larger number.
        unit: What macro_f1_per_transect takes for a transect: transect, base_quadrat or site.
        seed: Of the resamples.

    Returns:
        The difference of every metric of the slice ``all``, and how many observations are answered better.

    Raises:
        LakeError: As ``scores``.
    """
    a, b = (_judged(truth, given, kind, current_species) for given in (answers_a, answers_b))
    draws = Resamples.of_observations(a.size, seed=seed)
    transects = Resamples(_units(facts, a, unit), seed=seed) if kind == "many" else None
    of_a, of_b = (one.estimates(species_count, draws, transects) for one in (a, b))
    gains = {metric: of_b[metric].minus(of_a[metric]) for metric in of_a}
    changes = b.of_observations - a.of_observations
    return Comparison(
        tuple(
            Difference(metric, of_a[metric].value, of_b[metric].value, gain.value, gain.low, gain.high, gain.is_real)
            for metric, gain in gains.items()
        ),
        better=int((changes > 0).sum()),
        worse=int((changes < 0).sum()),
        same=int((changes == 0).sum()),
    )


def _values(ask: query.Session, judged: _Judged, species: pa.Table, species_count: int, unit: str) -> dict[str, float]:
    """Return the metrics of everything, as the questions say them."""
    ask.show("species_f1", species)
    class_sets = _by_metric(ask.answer("evaluate/class_set_metrics", species_count=species_count))
    if judged.kind == "many":
        ask.show("observation_f1", ask.answer("evaluate/observation_f1"))
        return {
            **_by_metric(ask.answer("evaluate/multi_label_metrics")),
            **class_sets,
            **_by_metric(ask.answer("evaluate/precision_and_recall")),
            **_by_metric(ask.answer("evaluate/transect_metrics", unit=unit)),
        }
    values = {
        **_by_metric(ask.answer("evaluate/single_label_metrics")),
        **_by_metric(ask.answer("evaluate/top10_accuracy")),
        **class_sets,
    }
    if judged.is_venomous is None:
        return values
    return {**values, **_by_metric(ask.answer("evaluate/venomous_tracks", macro_f1=values["macro_f1"]))}


def _slices(
    judged: _Judged, facts: pa.Table, train_counts: pa.Table
) -> Iterator[tuple[str, str, tuple[str, ...], _Judged]]:
    """Return of each slice its name, its question, the metrics that are taken from it, and what is in it."""
    of_one = ("evaluate/single_label_metrics", ("accuracy", "macro_f1"))
    of_many = ("evaluate/multi_label_metrics", ("macro_f1_per_observation", "micro_f1"))
    recall = ("evaluate/precision_and_recall", ("recall",))
    for name, column in _FACTS.items():
        values = _facts_of(facts, column, judged.truth)
        distinct = pc.unique(values)
        if len(distinct) < 2:
            continue
        for value in _largest(values):
            chosen = pc.fill_null(pc.equal(values, value), False).to_numpy(zero_copy_only=False)
            yield f"{name}:{value}", *(of_one if judged.kind == "one" else of_many), judged.of_truth(chosen)
    seen = pc.index_in(_texts(judged.truth["species_id"]), _texts(train_counts["species_id"]))
    counts = pc.fill_null(train_counts["train_count"].combine_chunks().take(seen), 0).to_numpy(zero_copy_only=False)
    buckets = {name: (counts >= least) & (most is None or counts <= most) for name, (least, most) in _SUPPORTS.items()}
    present = {name: chosen for name, chosen in buckets.items() if chosen.any()}
    if len(present) > 1:
        for name, chosen in present.items():
            yield f"support:{name}", *(of_one if judged.kind == "one" else recall), judged.of_truth(chosen)


def _largest(values: pa.Array) -> list[Any]:
    """Return the values of a fact, in their order; of more than ``MOST_PARTS`` those of most rows."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(values.drop_null()).to_pylist()}
    return sorted(sorted(counts, key=lambda value: (-counts[value], value))[:MOST_PARTS])


def _with_ranges(name: str, values: Mapping[str, float], ranges: Mapping[str, Estimate], count: int) -> list[Score]:
    return [
        Score(metric, name, value, ranges[metric].low, ranges[metric].high, count) for metric, value in values.items()
    ]


def _judged(truth: pa.Table, answers: pa.Table, kind: Kind, current_species: pa.Table) -> _Judged:
    if kind not in {"one", "many"}:
        raise LakeError(f"an observation holds one species or many, not {kind!r}")
    if not truth.num_rows:
        raise LakeError(
            "scores were asked for, but no observation has a true species: score observations that are labelled"
        )
    answers = answers.select(["observation_id", "species_id", "rank", "is_answer"])
    if kind == "one":
        is_best = pc.equal(answers["rank"], 1)
        _require_one_each(truth, "true species")
        _require_one_each(answers.filter(is_best), "answer of rank 1")
        answers = answers.set_column(3, "is_answer", is_best)
    observations = _sorted_ids(truth["observation_id"])
    answers = answers.filter(pc.is_in(_texts(answers["observation_id"]), observations))
    species = _sorted_ids(truth["species_id"], answers["species_id"])
    venomous = _texts(current_species.filter(current_species["is_venomous"])["species_id"])
    return _Judged(
        kind=kind,
        truth=truth.select(["observation_id", "species_id"]),
        answers=answers,
        observation=_places(truth["observation_id"], observations),
        species=_places(truth["species_id"], species),
        answer_observation=_places(answers["observation_id"], observations),
        answer_species=_places(answers["species_id"], species),
        is_venomous=pc.is_in(species, venomous).to_numpy(zero_copy_only=False) if len(venomous) else None,
        size=len(observations),
    )


def _units(facts: pa.Table, judged: _Judged, unit: str) -> Integers:
    """Return (N,) for each observation its transect, 0 to U - 1; who stands on none is one by itself."""
    if unit not in UNITS:
        raise LakeError(f"a transect is told by {', '.join(UNITS)}, not by {unit!r}")
    values = _facts_of(facts, unit, judged.truth)
    placed = pc.fill_null(pc.index_in(values, pc.unique(values).drop_null()), -1).to_numpy(zero_copy_only=False)
    of_observation = np.full(judged.size, -1)
    of_observation[judged.observation] = placed
    is_alone = of_observation < 0
    of_observation[is_alone] = len(values) + np.flatnonzero(is_alone)
    return np.unique(of_observation, return_inverse=True)[1]


def _facts_of(facts: pa.Table, column: str, truth: pa.Table) -> pa.Array:
    """Return a fact of the observation of each row of truth, null where nobody knows."""
    rows = pc.index_in(_texts(truth["observation_id"]), _texts(facts["observation_id"]))
    return facts[column].combine_chunks().take(rows)


def _texts(ids: pa.ChunkedArray) -> pa.Array:
    # Arrow has three types of text, and finds none of one among those of another.
    return ids.cast(pa.string()).combine_chunks()


def _sorted_ids(*columns: pa.ChunkedArray) -> pa.Array:
    distinct = pc.unique(pa.chunked_array([_texts(ids) for ids in columns]))
    return distinct.take(pc.array_sort_indices(distinct))


def _places(ids: pa.ChunkedArray, among: pa.Array) -> Integers:
    places: NDArray[np.int64] = pc.index_in(_texts(ids), among).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def _require_one_each(rows: pa.Table, what: str) -> None:
    counts = rows.group_by("observation_id").aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))
    if several.num_rows:
        first: Mapping[str, Any] = several.slice(0, 1).to_pylist()[0]
        raise LakeError(
            f"observations of one species need one {what} each, but {several.num_rows} of {counts.num_rows} have more, "
            f"e.g. {first['observation_id']!r} has {first['count_all']}: score quadrats as many"
        )


def _by_metric(rows: pa.Table) -> dict[str, float]:
    return {row["metric"]: float(row["value"]) for row in rows.to_pylist()}
