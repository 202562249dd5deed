"""Thousands of decision rules on stored tile predictions: which is best, and how much of that is chance."""

import itertools
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.evaluate import require_unseen, usual_metric
from flows.orchestration import Clock, flow_run_id, in_flow_run, progress, told
from flows.parts import levels_of, needed, parts_of
from flows.predict import at_tilings_of, canonical, predict_tiles
from flows.prefect_pages import show_figures, show_table
from lake import decisions, embeddings, labels, ledger, query, sweeps, tables, weighing
from lake.decisions import Scope
from lake.errors import LakeError, PriorUnfitError
from lake.rules import MANY, DecisionRule
from lake.sweeps import Tried
from lake.tables import Lake, Snapshot

if TYPE_CHECKING:
    from modeling.registry import Version

_RESAMPLES = 500  # of each rule; the best one is scored again with more by `evaluate`
_MOST_RULES = 20_000
_MOST_SUBSETS = 10  # tilings, of which all subsets are tried
_TOP = 10  # rules that a report lists


class RuleReport(BaseModel):
    """A rule and its scores."""

    rule_id: str
    rule: dict[str, Any]
    choices: str  # what sets it apart from the others, in words
    scores: dict[str, float]
    ranges: dict[str, tuple[float | None, float | None]]

    def words(self, metric: str) -> str:
        """A score with its range."""
        if metric not in self.scores:
            return "not scored there"
        low, high = self.ranges[metric]
        return f"{self.scores[metric]:.4f}" + ("" if low is None or high is None else f" ({low:.3f} to {high:.3f})")


class SweepReport(BaseModel):
    """The rules of a sweep, best first."""

    dataset: str
    model_version: str
    metric: str
    rules: list[RuleReport]
    excluded: dict[str, int]  # why combinations were left out, and how many
    as_good: int  # rules whose difference to the best one may be chance
    chosen_on: str  # the side of the data set that the best was chosen on
    observations: int
    held_out_on: str  # the side that the best rule had not seen; empty where there is none
    held_out_observations: int
    held_out: RuleReport | None  # the best rule there
    held_out_refused: str  # why the best rule cannot be applied there; empty where it can
    best_rule: str  # a file that `--rule` takes
    threshold: float | None  # that the best rule's mean number of species comes to where it was chosen
    figure: str
    sweep_id: str
    seconds: float
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [
            f"{self.model_version} on {self.dataset}: {_count(len(self.rules), 'rule')} on "
            f"{_count(self.observations, 'observation')} ({self.chosen_on}), {self.seconds:.0f} s; by {self.metric}:"
        ]
        equals = self._equals()
        for alike in equals[:_TOP]:
            beside = f" (and {len(alike) - 1} that score the same)" if len(alike) > 1 else ""
            lines.append(f"  {alike[0].words(self.metric)}: {alike[0].choices or 'as usual'}{beside}")
        if len(equals) > _TOP:
            more = sum(len(alike) for alike in equals[_TOP:])
            lines.append(f"  ... {more} more, in the table sweeps (sweep_id {self.sweep_id})")
        lines += [
            f"{_count(count, 'combination')} {'was' if count == 1 else 'were'} left out: {why}"
            for why, count in self.excluded.items()
        ]
        if len(self.rules) > 1:
            lines.append(f"{self.as_good} of the others may be as good: the difference to the best one may be chance")
        if self.held_out_refused:
            lines.append(
                f"what the best one is worth nobody knows: on the {_count(self.held_out_observations, 'observation')} "
                f"that it was not chosen on ({self.held_out_on}) it cannot be applied: {self.held_out_refused}"
            )
        elif self.held_out is None:
            lines.append(
                f"no observation of {self.dataset} was kept from the choice: the best score is too good to be true"
            )
        else:
            lines.append(
                f"the best one on {_count(self.held_out_observations, 'observation')} that it was not chosen on "
                f"({self.held_out_on}): {self.metric} {self.held_out.words(self.metric)}"
            )
        lines.append(
            f"use it: taxalake evaluate --dataset {self.dataset} --model {self.model_version} --rule {self.best_rule}"
        )
        if self.threshold is not None:
            lines.append(
                f"its mean_species is of many observations together; where it was chosen it is threshold = "
                f"{self.threshold!r}, which goes with single photographs (identify) too: write that in its place"
            )
        lines.append(f"all of them: {self.figure}")
        return lines

    def _equals(self) -> list[list[RuleReport]]:
        """Return the rules that have all scores alike together, in the order of the best ones."""
        alike: dict[str, list[RuleReport]] = {}
        for rule in self.rules:
            alike.setdefault(repr(sorted(rule.scores.items())), []).append(rule)
        return list(alike.values())


@dataclass(frozen=True)
class _Sides:
    """The observations that rules are chosen on, and those that tell what the choice is worth."""

    chosen: Scope
    unseen: Scope | None


@flow(name="sweep")
def sweep(
    rules: Path | dict[str, Any],
    dataset: str,
    model: str,
    home: Path | None = None,
    metric: str | None = None,
    split_id: str | None = None,
    backbone: str | None = None,
) -> SweepReport:
    """Try every combination of some decision rules on stored predictions and write the best one as a rule file.

    Rules are chosen on the validation side of the data set and the best one is scored on the test side; without a test
    side on halves of the validation side, and without either on halves of all that is labelled.

    Args:
        rules: A TOML file, or its content: a table ``matrix`` with lists for any part of a decision rule, or with
            ``subsets_of``: a pyramid or tilings joined by a plus, all subsets of which are tried; and a table ``rule``
            with what all share.
        dataset: With labels.
        model: NAME, NAME@alias or NAME/VERSION.
        home: The place's home.
        metric: That the best rule is chosen by, any that ``evaluate`` tells; macro_f1_per_observation for many
            species, macro_f1 for one.
        split_id: Whose validation side; by default that of the model's training, else the place's.
        backbone: Where the model's backbone is now, if not where it was in training.
    """
    from modeling.registry import Registry

    place = settings.load(home=home)
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    asked, name = _read(rules)
    registry = Registry(place.registry_uri, place.artifacts)
    version = registry.find(model)
    embeddings.require_dataset(lake, dataset)
    tried_rules, excluded = _rules(asked, at_tilings_of(version, place).tiling)
    first = tried_rules[0]
    by = metric or usual_metric(first.species)
    # A prior that is not there is an error before anything is embedded.
    for rule in {rule.priors: rule for rule in tried_rules}.values():
        weighing.resolved(lake, rule, dataset)
    sides = _sides(place, version, dataset, split_id)
    both = _both(sides)
    facts, truth, species = _known(place, dataset, first.species, both)
    _require_metric(by, sweeps.metrics(first.species, _of(truth, sides.chosen), facts, species), dataset)
    stored = decisions.predicted_schemes(lake, dataset, version.recorded_as)
    schemes = needed([rule.tilings for rule in tried_rules], stored)
    place = place.model_copy(update={"tiling": "+".join(schemes)})
    predict_tiles(place, registry, version, both, backbone, run_id)
    parts = {rule.tilings: parts_of(rule.tilings, schemes) for rule in tried_rules}
    species_count = int(version.tags["species"])

    left_out: Counter[str] = Counter()

    def leave_out(why: str) -> None:
        left_out[why] += 1

    def tried_on(scope: Scope, some: Sequence[DecisionRule], title: str) -> tuple[list[Tried], tuple[Snapshot, ...]]:
        with progress(title, len(some), "rules") as advance:
            return sweeps.run(
                lake,
                scope,
                _of(truth, scope),
                facts,
                species,
                version.recorded_as,
                species_count,
                some,
                parts,
                advance,
                _RESAMPLES,
                leave_out,
            )

    tried, snapshots = tried_on(sides.chosen, tried_rules, f"sweep {dataset}")
    excluded |= left_out
    best = sweeps.best(tried, by)
    held_out, refused = None, ""
    if sides.unseen is not None:
        try:
            held_out = tried_on(sides.unseen, [best.rule], "held out")[0][0]
        except PriorUnfitError as error:
            refused = str(error)
    threshold = sweeps.threshold(lake, sides.chosen, version.recorded_as, best.rule, parts[best.rule.tilings])
    sweep_id, written = _recorded(lake, sides, version.recorded_as, tried, held_out, snapshots, run_id)
    if written:
        ledger.record_stage(lake, run_id, "sweep", dataset, written, 0, clock.seconds)
    file = _write(place, f"{dataset}-{name}-best", best.rule, sides.chosen, threshold)
    words = _choices([one.rule for one in tried])
    title = f"{version.model_version} on {dataset}"
    figure = _drawn(tried, best, by, words, title, place.figures / f"{dataset}-{name}-sweep.png")
    ranked = sorted(tried, key=lambda one: sweeps.rank(one, by))
    report = SweepReport(
        dataset=dataset,
        model_version=version.model_version,
        metric=by,
        rules=[_report(one, words[one.rule]) for one in ranked],
        excluded=excluded,
        as_good=sum(_may_be_as_good(one, best, by) for one in tried if one is not best),
        chosen_on=sides.chosen.split,
        observations=len(set(_of(truth, sides.chosen)["observation_id"].to_pylist())),
        held_out_on="" if sides.unseen is None else sides.unseen.split,
        held_out_observations=0 if sides.unseen is None else sides.unseen.observations.num_rows,
        held_out=None if held_out is None else _report(held_out, words[held_out.rule]),
        held_out_refused=refused,
        best_rule=str(file),
        threshold=threshold,
        figure=str(figure),
        sweep_id=sweep_id,
        seconds=clock.seconds,
        committed=bool(written),
    )
    if in_flow_run():
        show_figures([figure], "sweep")
        ranking = [{"rule": rule.choices, **rule.scores} for rule in report.rules[:100]]
        show_table(ranking, f"The best rules on {dataset}, by {by}.", "sweep", dataset, "rules")
    return told(report)


def _recorded(
    lake: Lake,
    sides: _Sides,
    model_version: str,
    tried: Sequence[Tried],
    held_out: Tried | None,
    snapshots: tuple[Snapshot, ...],
    run_id: str,
) -> tuple[str, int]:
    """Write the scores of all rules, and those of the best one where it was not chosen; return their id and count."""
    sweep_id = tables.digest(
        [
            [one.rule.spec for one in tried],
            model_version,
            tables.digest(sides.chosen.observations["observation_id"].to_pylist()),
            repr([_values(one) for one in tried]),
        ]
    )
    written = sweeps.record(lake, sweep_id, sides.chosen, model_version, tried, snapshots, run_id)
    if held_out is not None and sides.unseen is not None:
        best_id = f"{sweep_id}-{tables.digest(repr(_values(held_out)), 8)}"
        written += sweeps.record(lake, best_id, sides.unseen, model_version, [held_out], snapshots, run_id)
    return sweep_id, written


def _drawn(
    tried: Sequence[Tried], best: Tried, metric: str, words: Mapping[DecisionRule, str], title: str, path: Path
) -> Path:
    from modeling import sweep_figures

    rules = [
        sweep_figures.SweptRule(
            words=words[one.rule],
            values=dict(_values(one)),
            low=one.scores[metric].low,
            high=one.scores[metric].high,
        )
        for one in tried
    ]
    return sweep_figures.draw_sweep(rules, metric, tried.index(best), title, path)


def _values(one: Tried) -> list[tuple[str, float]]:
    return [(metric, estimate.value) for metric, estimate in one.scores.items()]


def _may_be_as_good(one: Tried, best: Tried, metric: str) -> bool:
    return metric in one.scores and not best.scores[metric].minus(one.scores[metric]).is_real


def _report(one: Tried, words: str) -> RuleReport:
    return RuleReport(
        rule_id=one.rule.rule_id,
        rule=one.rule.spec,
        choices=words,
        scores={metric: estimate.value for metric, estimate in one.scores.items()},
        ranges={metric: (estimate.low, estimate.high) for metric, estimate in one.scores.items()},
    )


def _read(rules: Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return what is asked for, and a name for it.

    Raises:
        LakeError: If the file cannot be read, or says what is not understood.
    """
    name = "rules"
    if isinstance(rules, Path):
        name = rules.stem
        try:
            rules = tomllib.loads(rules.expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LakeError(f"the file of rules {rules} cannot be read: {error}") from error
    unknown = rules.keys() - {"matrix", "rule"}
    if unknown or "rule" not in rules:
        raise LakeError(
            f"rules to be swept are a table [rule], with species at least, and a table [matrix]; these have "
            f"{', '.join(map(str, rules)) or 'nothing'}"
        )
    asked = {"matrix": {}, **rules}
    for dimension, choices in asked["matrix"].items():
        if dimension != "subsets_of" and (not isinstance(choices, list) or not choices):
            raise LakeError(f"the choices of {dimension} are {choices!r}; they are a list of one or more")
    return asked, name


def _rules(asked: Mapping[str, Any], usual_tilings: str) -> tuple[list[DecisionRule], dict[str, int]]:
    """Return every combination that makes sense, each once, the first choice of each part first; and why others do not.

    Raises:
        LakeError: If a part or a choice makes no sense by itself, no combination does, or there are too many.
    """
    matrix = dict(asked["matrix"])
    if "subsets_of" in matrix:
        if "tilings" in matrix:
            raise LakeError("subsets_of and tilings both say which tiles count: ask for one of them")
        matrix["tilings"] = _subsets(matrix.pop("subsets_of"))
    count = 1
    for choices in matrix.values():
        count *= len(choices)
    if count > _MOST_RULES:
        raise LakeError(f"{count:,} rules are more than anyone looks through; ask for at most {_MOST_RULES:,}")
    species = asked["rule"].get("species", "")
    for part, choices in matrix.items():
        for choice in choices:
            # By itself: what is wrong with a choice is no matter of the others.
            if choice not in ("", []):
                DecisionRule.read({"species": species, part: choice})
    found: dict[DecisionRule, None] = {}
    excluded: Counter[str] = Counter()
    for chosen in itertools.product(*matrix.values()):
        parts = {**asked["rule"], **dict(zip(matrix, chosen, strict=True))}
        # An empty choice leaves a part as it is by default: TOML has no null.
        given = {part: value for part, value in parts.items() if value not in ("", [])}
        try:
            rule = DecisionRule.read(given).at(usual_tilings)
        except LakeError as error:
            excluded[str(error)] += 1
            continue
        found[_canonical(rule)] = None
    if not found:
        raise LakeError(f"none of these rules makes sense: {next(iter(excluded))}")
    return list(found), dict(excluded)


def _canonical(rule: DecisionRule) -> DecisionRule:
    return replace(rule, tilings=canonical(rule.tilings))


def _subsets(tilings: str) -> list[str]:
    parts = levels_of(tilings)
    if len(parts) > _MOST_SUBSETS:
        raise LakeError(
            f"{len(parts)} tilings have {2 ** len(parts) - 1:,} subsets; ask for those of at most {_MOST_SUBSETS}"
        )
    sizes = range(1, len(parts) + 1)
    return ["+".join(chosen) for size in sizes for chosen in itertools.combinations(parts, size)]


def _sides(place: settings.Settings, version: "Version", dataset: str, split_id: str | None) -> _Sides:
    """Return what rules are chosen on, and what no choice was made on.

    The validation side, and the test side; where there is no test side a half of the validation side each, and where
    there is no validation side the same of all that is labelled.

    Raises:
        LakeError: If nothing is labelled.
        TrainingError: If the model has learnt from the validation side.
    """
    lake = place.lake
    own = version.tags["split_id"] if version.tags.get("dataset") == dataset else None
    asked = split_id or own or place.split_recipe.split_id(dataset)
    val, test, whole = (decisions.split_scope(lake, dataset, asked, side) for side in ("val", "test", "all"))
    if whole is None:
        raise LakeError(f"no observation of {dataset!r} is labelled: there is nothing to score rules against")
    require_unseen(version, dataset, asked, "val")
    chosen = val or _without(whole, test)
    if test is not None and chosen is not None:
        return _Sides(chosen, test)
    (records,) = tables.latest(lake, "image_records")
    facts = query.answer(lake, "labels/observation_facts", [records], dataset=dataset)
    first, second = sweeps.halves(chosen or whole, facts, place.seed)
    return _Sides(first, second if second.observations.num_rows else None)


def _without(whole: Scope, test: Scope | None) -> Scope | None:
    """Return the observations of a scope that are not on the test side."""
    if test is None:
        return whole
    held_out = pc.is_in(whole.observations["observation_id"], test.observations["observation_id"].combine_chunks())
    rest = whole.observations.filter(pc.invert(held_out))
    return Scope(whole.dataset, "all but test", rest) if rest.num_rows else None


def _both(sides: _Sides) -> Scope:
    if sides.unseen is None:
        return sides.chosen
    both = pa.concat_tables([sides.chosen.observations, sides.unseen.observations])
    return Scope(sides.chosen.dataset, "all", both)


def _known(place: settings.Settings, dataset: str, species: str, scope: Scope) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return facts of the observations, the truth, and what is known of species."""
    lake = place.lake
    records, known = tables.latest(lake, "image_records", "species")
    question = "evaluate/truth" if species == MANY else "evaluate/single_truth"
    frames = {"current_labels": labels.current(lake, dataset), "scope": scope.observations}
    return (
        query.answer(lake, "labels/observation_facts", [records], dataset=dataset),
        query.answer(None, question, frames=frames),
        query.answer(lake, "labels/current_species", [known]),
    )


def _of(truth: pa.Table, scope: Scope) -> pa.Table:
    return truth.filter(pc.is_in(truth["observation_id"], scope.observations["observation_id"].combine_chunks()))


def _require_metric(metric: str, there: Sequence[str], dataset: str) -> None:
    """Refuse a metric that no rule will have, before any is tried.

    Raises:
        LakeError: If it is none of those that there are.
    """
    if there and metric not in there:
        need = ": transects are told by the table that is taken in" if metric == "macro_f1_per_transect" else ""
        raise LakeError(
            f"no rule can be chosen by {metric!r} on these observations of {dataset!r}{need}; there are "
            f"{', '.join(there)}"
        )


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _write(place: settings.Settings, name: str, rule: DecisionRule, chosen_on: Scope, threshold: float | None) -> Path:
    folder = place.home.resolve() / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.toml"
    passing = file.with_suffix(".partial")
    note = ""
    if threshold is not None:
        observations = _count(chosen_on.observations.num_rows, "observation")
        note = (
            f"# What mean_species came to on the {observations} that the rule was chosen on ({chosen_on.split}); for "
            f"single photographs\n# say it in its place:\n# threshold = {threshold!r}\n"
        )
    passing.write_text(note + rule.toml, encoding="utf-8")
    passing.replace(file)
    return file


def _choices(rules: Sequence[DecisionRule]) -> dict[DecisionRule, str]:
    """Return for each rule, in words, what sets it apart from the others."""
    specs = {rule: rule.spec for rule in rules}
    names = list(dict.fromkeys(name for spec in specs.values() for name in spec))
    varying = [name for name in names if len({repr(spec.get(name)) for spec in specs.values()}) > 1]
    return {
        rule: ", ".join(f"{name} {_words(spec[name])}" for name in varying if name in spec)
        for rule, spec in specs.items()
    }


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(f"{use['prior']}^{use['strength']:g}" for use in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
