"""Many decision rules on the same stored tile predictions, scored against the same labels with the same resamples.

No rule is decided by itself: what the tiles of each part say is pooled once, put together for each choice of parts,
and cut down to what any of the rules could keep. The answers are those of ``decisions.answer``, as a test sees.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake import decisions, labels, query, resampling, scoring, tables, weighing
from lake.decisions import Part, Scope
from lake.errors import LakeError, PriorUnfitError
from lake.resampling import Estimate, Integers, Resamples
from lake.rules import MANY, ONE, DecisionRule, PriorUse
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

_SCORED_AT_ONCE = 2  # rules: more would wait for each other's memory
_MOST_WAITING = 8
_NO_SCORES = frozenset({"mean_species"})
_NEVER_TEST = frozenset({"val", "all but test"})  # what rules are chosen on where there is a test side


@dataclass(frozen=True)
class Tried:
    """A rule with its scores."""

    rule: DecisionRule
    scores: Mapping[str, Estimate]


@dataclass(frozen=True)
class Choice:
    """A sweep that chose a rule, on what, and what the rule scored on what had been kept from the choice."""

    sweep_id: str
    model_version: str
    split: str
    observations: int
    held_out_on: str  # empty where nothing had been kept
    held_out_observations: int
    held_out: dict[str, float]
    held_out_ranges: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class _Ground:
    """What rules are scored against; observations and species are numbers, in the order of their ids."""

    position: Integers  # (observations,) among those that are labelled, -1 for the others
    species_total: int
    accepted: Integers  # of each species, what it is called today
    is_renamed: bool  # whether any is called otherwise
    true_pairs: Integers  # (T,) position x species_total + species, ascending
    draws: Resamples
    transects: Resamples | None
    is_venomous: resampling.Flags | None  # of each species; None where nobody knows
    species_count: int  # that the model knows


def run(
    lake: Lake,
    scope: Scope,
    truth: pa.Table,
    facts: pa.Table,
    current_species: pa.Table,
    model_version: str,
    species_count: int,
    rules: Sequence[DecisionRule],
    parts: Mapping[str, Sequence[Part]],
    on_rule: Callable[[int], None] = lambda _: None,
    resamples: int = resampling.RESAMPLES,
    on_left_out: Callable[[str], None] = lambda _: None,
) -> tuple[list[Tried], tuple[Snapshot, ...]]:
    """Try rules on a scope; nothing is written.

    Args:
        lake: The place of the tables.
        scope: The observations to answer.
        truth: observation_id, species_id; only observations that it names are scored.
        facts: observation_id, transect.
        current_species: species_id, is_venomous.
        model_version: Whose predictions count.
        species_count: How many species it knows.
        rules: Each with tilings, all for one species or all for many.
        parts: For each of the tilings that the rules name where its predictions stand.
        on_rule: Told how many more are done.
        resamples: That the intervals are from.
        on_left_out: Told of each rule with a prior that changes nothing why that is so.

    Returns:
        The rules with their scores, in the order given, without those that were left out, and the snapshots that were
        read.

    Raises:
        LakeError: If there is no rule, or no truth.
        PriorUnfitError: If every rule was left out.
    """
    if not rules or len({rule.species for rule in rules}) > 1:
        raise LakeError("rules are swept together that are all for one species or all for many, and at least one")
    if not truth.num_rows:
        raise LakeError(f"no observation of {scope.dataset!r} in this scope is labelled: no rule can be scored on it")
    snapshots = tables.latest(
        lake, "taxon_changes", *sorted({name for rule in rules for name in decisions.read_by(rule)})
    )
    seen = {
        "scope": scope.observations,
        "truth": truth,
        "accepted_species": labels.accepted_species(lake, snapshots[0]),
    }
    with query.session(lake, snapshots, seen) as ask:
        observations = ask.answer("sweep/observation_numbers")
        ask.show("observation_numbers", observations)
        species = ask.answer("sweep/species_numbers", model_version=model_version)
        ask.show("species_numbers", species)
        ground = _ground(observations, species, truth, facts, current_species, species_count, resamples)
        _show_numbers(ask, scope, rules)
        of_priors = {
            priors: weighing.resolved(lake, rule, scope.dataset)
            for priors, rule in {rule.priors: rule for rule in rules}.items()
        }
        uses = {rule: of_priors[rule.priors] for rule in rules}
        found: dict[DecisionRule, Tried] = {}
        unfit: list[PriorUnfitError] = []
        # While one rule is scored the next ones are decided: NumPy and DuckDB both let others run.
        with ThreadPoolExecutor(_SCORED_AT_ONCE) as pool:
            waiting: deque[tuple[DecisionRule, Future[dict[str, Estimate]]]] = deque()

            def take() -> None:
                rule, scores = waiting.popleft()
                found[rule] = Tried(rule, scores.result())
                on_rule(1)

            for rule, answers in _answers(ask, scope, model_version, rules, parts, observations.num_rows, uses):
                if isinstance(answers, PriorUnfitError):
                    unfit.append(answers)
                    on_left_out(str(answers))
                    on_rule(1)
                    continue
                if len(waiting) == _MOST_WAITING:
                    take()
                waiting.append((rule, pool.submit(_scores, ground, answers, rule.species)))
            while waiting:
                take()
    if not found:
        raise PriorUnfitError(f"no rule is left to be scored: {unfit[0]}")
    return [found[rule] for rule in rules if rule in found], snapshots


def metrics(species: str, truth: pa.Table, facts: pa.Table, current_species: pa.Table) -> list[str]:
    """Return the names of the scores that rules can be chosen by on a truth: some need transects, or venom.

    Args:
        species: one or many.
        truth: observation_id, species_id.
        facts: observation_id, transect.
        current_species: species_id, is_venomous.
    """
    if not truth.num_rows:
        return []
    names, kinds = (sorted(set(truth[column].to_pylist())) for column in ("observation_id", "species_id"))
    number, kind = _numbers(names), _numbers(kinds)
    observation = np.array([number[name] for name in truth["observation_id"].to_pylist()])
    found = np.array([kind[species_id] for species_id in truth["species_id"].to_pylist()])
    draws = Resamples.of_observations(len(names), 0)
    # Whoever answers nothing gets every score that there is.
    if species == MANY:
        is_true, transects = np.ones(len(found), np.bool_), _transects(names, facts, 0)
        scores = resampling.many_species(observation, found, is_true, ~is_true, len(kinds), draws, transects)
    else:
        unanswered, unranked = np.full(len(names), -1), np.zeros(len(names), np.int64)
        true = unranked.copy()
        true[observation] = found
        scores = resampling.one_species(true, unanswered, unranked, len(kinds), draws, _venom(kinds, current_species))
    return [metric for metric in scores if metric not in _NO_SCORES]


def threshold(lake: Lake, scope: Scope, model_version: str, rule: DecisionRule, parts: Sequence[Part]) -> float | None:
    """Return the threshold on the pooled score that a rule's mean number of species comes to on a scope.

    None where the rule names no mean, or no score is high enough.
    """
    if rule.mean_species is None:
        return None
    seen = {"scope": scope.observations, "parts": decisions.as_frame(parts)}
    with query.session(lake, tables.latest(lake, *decisions.read_by(rule)), seen) as ask:
        decisions.pool(ask, scope.dataset, model_version, rule)
        for use in weighing.resolved(lake, rule, scope.dataset):
            weighing.weigh(ask, scope.dataset, use, rule.pools_scores, is_checked=False)
        if rule.grouping:
            ask.show("base_quadrats", decisions.base_quadrats(ask, scope.dataset))
            ask.keep("scores", "decide/grouped_scores", grouping=rule.grouping, min_votes=rule.votes_needed)
        found: float = ask.answer(
            "decide/target_threshold",
            mean_species=rule.mean_species,
            observation_count=scope.observations.num_rows,
            min_votes=rule.votes_needed,
        )["threshold"][0].as_py()
    return found if np.isfinite(found) else None


def choice(lake: Lake, dataset: str, rule_id: str, split: str) -> Choice | None:
    """Return the latest sweep that chose a rule on observations of those that are scored; None where none has.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        rule_id: The rule.
        split: The side of the data set that is scored.
    """
    seen = tables.latest(lake, "sweeps")
    rows = query.answer(lake, "sweep/choices_of_rule", seen, dataset=dataset, rule_id=rule_id).to_pylist()
    among = [row for row in rows if split != "test" or row["split"] not in _NEVER_TEST]
    if not among:
        return None
    first = among[0]
    kept = [row for row in among if row["metric"] is not None and row["sweep_id"] == first["sweep_id"]]
    return Choice(
        sweep_id=first["sweep_id"],
        model_version=first["model_version"],
        split=first["split"],
        observations=first["observation_count"],
        held_out_on=first["held_out_split"] or "",
        held_out_observations=first["held_out_count"] or 0,
        held_out={row["metric"]: row["value"] for row in kept},
        held_out_ranges={row["metric"]: (row["ci_low"], row["ci_high"]) for row in kept},
    )


def record(
    lake: Lake,
    sweep_id: str,
    scope: Scope,
    model_version: str,
    tried: Iterable[Tried],
    snapshots: Sequence[Snapshot],
    flow_run_id: str,
) -> int:
    """Append the scores of rules, once, and return how many rows were new."""
    constants = {
        "sweep_id": sweep_id,
        "dataset": scope.dataset,
        "model_version": model_version,
        "split": scope.split,
        "observation_count": scope.observations.num_rows,
        "snapshots": tables.describe(snapshots),
        "swept_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    rows = [
        {
            **constants,
            "rule_id": one.rule.rule_id,
            "rule": tables.canonical_json(one.rule.spec),
            "metric": metric,
            "value": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
        }
        for one in tried
        for metric, estimate in one.scores.items()
    ]
    done = tables.append(lake, "sweeps", pa.Table.from_pylist(rows, schema=TABLES["sweeps"].columns))
    return done.row_count


def best(tried: Sequence[Tried], metric: str) -> Tried:
    """Return the rule with the highest score; of equals the one that was named first.

    Raises:
        LakeError: If no rule has such a score.
    """
    if metric in _NO_SCORES:
        raise LakeError("how many species an answer holds is no score that a rule could be chosen by")
    scored = [one for one in tried if metric in one.scores]
    if not scored:
        there = ", ".join(tried[0].scores)
        raise LakeError(f"no rule has a score {metric!r}; there are {there}")
    return min(scored, key=lambda one: rank(one, metric))


def rank(one: Tried, metric: str) -> float:
    """Return a number that is the lower the better a rule is; infinite without such a score."""
    if metric not in one.scores:
        return float("inf")
    value = one.scores[metric].value
    return value if metric in scoring.LESS_IS_BETTER else -value


def halves(scope: Scope, facts: pa.Table, seed: int) -> tuple[Scope, Scope]:
    """Divide a scope into two halves by its base quadrats, so that the same ground is never in both.

    Args:
        scope: The observations.
        facts: observation_id, base_quadrat.
        seed: Of the draw.
    """
    quadrat = dict(zip(facts["observation_id"].to_pylist(), facts["base_quadrat"].to_pylist(), strict=True))
    ids = scope.observations["observation_id"].to_pylist()
    groups: dict[str, list[str]] = {}
    for one in sorted(ids):
        groups.setdefault(quadrat.get(one) or one, []).append(one)
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    first: set[str] = set()
    for name in names:
        if 2 * (len(first) + len(groups[name])) <= len(ids) or not first:
            first.update(groups[name])
    sides = (sorted(first), sorted(set(ids) - first))
    chosen, unseen = (
        Scope(scope.dataset, side, pa.table({"observation_id": pa.array(members, pa.string())}))
        for side, members in zip(("half", "other half"), sides, strict=True)
    )
    return chosen, unseen


def _ground(
    observations: pa.Table,
    species: pa.Table,
    truth: pa.Table,
    facts: pa.Table,
    current_species: pa.Table,
    species_count: int,
    resamples: int,
) -> _Ground:
    names, kinds = observations["observation_id"].to_pylist(), species["species_id"].to_pylist()
    number, kind = _numbers(names), _numbers(kinds)
    labelled = sorted({number[name] for name in truth["observation_id"].to_pylist() if name in number})
    position = np.full(len(names), -1)
    position[labelled] = np.arange(len(labelled))
    pairs = [
        position[number[name]] * len(kinds) + kind[species_id]
        for name, species_id in zip(truth["observation_id"].to_pylist(), truth["species_id"].to_pylist(), strict=True)
        if name in number
    ]
    return _Ground(
        position=position,
        species_total=len(kinds),
        accepted=species["accepted_number"].to_numpy(),
        is_renamed=species["accepted_number"] != species["number"],
        true_pairs=np.unique(np.array(pairs, np.int64)),
        draws=Resamples.of_observations(len(labelled), resamples),
        transects=_transects([names[one] for one in labelled], facts, resamples),
        is_venomous=_venom(kinds, current_species),
        species_count=species_count,
    )


def _transects(observations: Sequence[str], facts: pa.Table, resamples: int) -> Resamples | None:
    transect = dict(zip(facts["observation_id"].to_pylist(), facts["transect"].to_pylist(), strict=True))
    units = [transect.get(one) for one in observations]
    if not any(units):
        return None
    # A quadrat of no transect is one of its own; no transect's name begins so.
    own = [unit or f"\0{one}" for one, unit in zip(observations, units, strict=True)]
    return Resamples(np.unique(own, return_inverse=True)[1], resamples)


def _venom(kinds: Sequence[str], current_species: pa.Table) -> resampling.Flags | None:
    known = set(current_species.filter(pc.fill_null(current_species["is_venomous"], False))["species_id"].to_pylist())
    return np.array([one in known for one in kinds]) if known else None


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _show_numbers(ask: query.Session, scope: Scope, rules: Sequence[DecisionRule]) -> None:
    """Let the rules' other tables be seen by numbers, too."""
    if any(rule.grouping for rule in rules):
        ask.show("base_quadrats", decisions.base_quadrats(ask, scope.dataset))
        ask.keep("base_quadrats", "sweep/numbered_base_quadrats")
    if any(rule.cost or rule.venomous_share for rule in rules):
        ask.show("venomous_species", decisions.venomous_species(ask))
        ask.keep("venomous_species", "sweep/numbered_venomous_species")
    if any(rule.priors for rule in rules):
        ask.keep("prior_places", "sweep/numbered_places", dataset=scope.dataset)
        ask.keep("priors", "sweep/numbered_priors")


def _answers(
    ask: query.Session,
    scope: Scope,
    model_version: str,
    rules: Sequence[DecisionRule],
    parts: Mapping[str, Sequence[Part]],
    observation_count: int,
    uses: Mapping[DecisionRule, Sequence[PriorUse]],
) -> Iterator[tuple[DecisionRule, pa.Table | PriorUnfitError]]:
    """Yield each rule with its answers, or why its priors change nothing, in an order that shares the work."""
    number = {part: at for at, part in enumerate(dict.fromkeys(part for group in parts.values() for part in group))}
    frame = decisions.as_frame(list(number))
    tiles = {"dataset": scope.dataset, "model_version": model_version}
    ask.show("parts", frame)
    ask.keep("part_tiles", "sweep/part_tiles", **tiles)
    for read, alike in _grouped(rules, _read_alike):
        counted, voting, least = read
        votes = {"counted_ranks": counted, "voting_ranks": voting, "min_probability": least}
        ask.show("parts", frame)
        ask.keep("part_scores", "sweep/part_scores", **tiles, **votes)
        for tilings, of_tilings in _grouped(alike, lambda rule: rule.tilings):
            chosen = [number[part] for part in parts[tilings]]
            ask.keep("chosen_parts", "sweep/chosen_parts", parts=chosen)
            # How scores are pooled makes no difference to which species a prior knows.
            known: dict[tuple[Sequence[PriorUse], bool], PriorUnfitError | None] = {}
            for _, group in _grouped(of_tilings, _scored_alike):
                first = group[0]
                weighed = (uses[first], first.pools_scores)
                unfit = known.get(weighed)
                if unfit is not None:
                    yield from ((rule, unfit) for rule in group)
                    continue
                if first.pools_by == "confidence":
                    # Its tiles weigh each other: it cannot be put together from parts.
                    ask.show("parts", frame.take(chosen))
                    decisions.pool(ask, scope.dataset, model_version, first)
                    ask.keep("scores", "sweep/numbered_scores")
                else:
                    ask.keep("scores", "sweep/scores_of_parts", pooling=first.pools_by)
                try:
                    for use in uses[first]:
                        weighing.weigh(ask, scope.dataset, use, first.pools_scores, is_checked=weighed not in known)
                except PriorUnfitError as error:
                    known[weighed] = error
                    yield from ((rule, error) for rule in group)
                    continue
                known[weighed] = None
                _drop_hopeless(ask, group, observation_count)
                for rule in group:
                    if rule.grouping:
                        ask.keep("scores_before", "decide/same_scores")
                    yield rule, decisions.choose(ask, rule, observation_count)
                    if rule.grouping:
                        ask.keep("scores", "decide/scores_before")


def _drop_hopeless(ask: query.Session, rules: Sequence[DecisionRule], observation_count: int) -> None:
    """Drop the scores that none of some rules, which are alike up to what they keep, can keep."""
    if not rules[0].pools_scores or any(rule.grouping or rule.cost for rule in rules):
        return
    thresholds = [rule.threshold for rule in rules]
    means = [rule.mean_species for rule in rules]
    if rules[0].species == MANY and any(
        one is None and other is None for one, other in zip(thresholds, means, strict=True)
    ):
        return
    given = [one for one in thresholds if one is not None]
    ask.keep(
        "scores",
        "sweep/candidates",
        min_votes=rules[0].votes_needed,
        lowest_threshold=min(given, default=None),
        # One more: where a count is a number and a half the question rounds up.
        largest_count=round(max([one for one in means if one is not None], default=0) * observation_count) + 1,
        best=max(rule.candidates if rule.species == ONE else max(1, rule.least_species) for rule in rules),
    )


def _grouped(
    rules: Sequence[DecisionRule], key: Callable[[DecisionRule], Any]
) -> Iterator[tuple[Any, list[DecisionRule]]]:
    groups: dict[Any, list[DecisionRule]] = {}
    for rule in rules:
        groups.setdefault(key(rule), []).append(rule)
    yield from groups.items()


def _read_alike(rule: DecisionRule) -> tuple[int, int, float]:
    return rule.counted_ranks, rule.voting_ranks, rule.min_probability


def _scored_alike(rule: DecisionRule) -> tuple[Any, ...]:
    return rule.pools_by, rule.priors, rule.votes_needed


def _ranks(position: Integers, kind: Integers, rank: Integers) -> Integers:
    """Return the ranks of candidates where two that have become one species count once, the later one as 0."""
    order = np.lexsort((rank, position))
    seen: dict[int, set[int]] = {}
    found = np.zeros_like(rank)
    for row in order:
        known = seen.setdefault(int(position[row]), set())
        if int(kind[row]) not in known:
            known.add(int(kind[row]))
            found[row] = len(known)
    return found


def _scores(ground: _Ground, answers: pa.Table, species: str) -> dict[str, Estimate]:
    position = ground.position[answers["observation_id"].to_numpy()]
    # A model that learnt before a species was renamed or merged is not wrong for saying its old name.
    kind = ground.accepted[answers["species_id"].to_numpy()]
    is_scored = position >= 0
    if species == ONE:
        true = ground.true_pairs % ground.species_total
        rank = answers["rank"].to_numpy()
        if ground.is_renamed:
            rank = _ranks(position, kind, rank)
        is_scored &= rank > 0
        answered = np.full(len(true), -1)
        is_best = is_scored & (rank == 1)
        answered[position[is_best]] = kind[is_best]
        true_rank = np.zeros(len(true), np.int64)
        is_hit = is_scored & (true[position] == kind)
        true_rank[position[is_hit]] = rank[is_hit]
        return resampling.one_species(true, answered, true_rank, ground.species_count, ground.draws, ground.is_venomous)
    kept = is_scored & answers["is_answer"].to_numpy()
    answered_pairs = position[kept] * ground.species_total + kind[kept]
    pairs = np.union1d(ground.true_pairs, answered_pairs)
    return resampling.many_species(
        pairs // ground.species_total,
        pairs % ground.species_total,
        np.isin(pairs, ground.true_pairs),
        np.isin(pairs, answered_pairs),
        ground.species_count,
        ground.draws,
        ground.transects,
    )
