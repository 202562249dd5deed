"""Answers for the contests: written in their dialects, held against their rules, compared, and their scores kept."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.answers import grid
from flows.orchestration import Clock, flow_run_id, told
from lake import decisions, ledger, submissions
from lake.errors import LakeError
from lake.submissions import Checked, Problem

SHOWN = 20  # problems, changed observations, scores; JSON holds all scores
_SPECIES_SHOWN = 10
# Of four decisions one order in twenty-four is the right one by chance.
_FEWEST_DECISIONS = 5


class SubmitReport(BaseModel):
    """A file that a contest takes."""

    submission_id: str
    decision_id: str
    dataset: str
    model_version: str
    dialect: str
    path: str
    rows: int
    mean_species: float
    warnings: list[str]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        again = "" if self.committed else " (the same as before)"
        return [
            f"{self.path}: {self.rows} observations of {self.dataset}, {self.mean_species:.2f} species each, as "
            f"{self.dialect}{again}; made by {self.model_version}, decision {self.decision_id}",
            *_warned(self.warnings),
            f"when the contest has scored it: taxalake submission score --decision {self.decision_id} --metric NAME "
            f"--value X",
        ]


class ProblemReport(BaseModel):
    """One thing that is wrong with a file."""

    line: int | None
    kind: str
    detail: str


class CheckReport(BaseModel):
    """Whether a contest would take a file."""

    path: str
    dialect: str | None
    is_accepted: bool
    rows: int
    species: int
    mean_species: float
    expected: int | None  # observations of the data set or decision; None where none was said
    problem_count: int
    kinds: dict[str, int]  # kind -> problems
    problems: list[ProblemReport]  # the first ones, of each kind at least one
    warning_count: int
    warnings: list[str]  # the first ones

    def lines(self) -> list[str]:
        """The report for people."""
        held = "ids not held against observations (--dataset or --decision)"
        if self.expected is not None:
            held = f"{self.expected} observations expected"
        lines = [
            f"{self.path}: {'accepted' if self.is_accepted else 'REFUSED'} as {self.dialect or 'no known dialect'}: "
            f"{self.rows} rows, {self.mean_species:.2f} species each, {self.species} species in all; {held}"
        ]
        lines += [f"  {Problem(one.line, one.kind, one.detail)}" for one in self.problems]
        if self.problem_count > len(self.problems):
            counts = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
            lines.append(f"{self.problem_count} problems, {len(self.problems)} shown: {counts}")
        return lines + _warned(self.warnings, self.warning_count)


class CompareReport(BaseModel):
    """How two submissions differ."""

    first: str
    second: str
    observations: int
    changed: int
    only_first: int  # observations that the second does not answer
    only_second: int
    first_mean_species: float
    second_mean_species: float
    mean_jaccard: float
    jaccard_tenths: dict[str, int]  # from 0.0 to 0.9 and 1.0 (the same) -> observations
    gained: dict[str, int]  # species_id -> observations, the most frequent ones
    lost: dict[str, int]
    names: dict[str, str]  # of those that are on record
    most_changed: list[dict[str, Any]]  # observation_id, jaccard, gained, lost

    def lines(self) -> list[Any]:
        """The report for people."""
        lines: list[Any] = [
            f"first: {self.first}, {self.first_mean_species:.2f} species an answer; "
            f"second: {self.second}, {self.second_mean_species:.2f}",
            f"{self.changed} of {self.observations} observations changed, mean Jaccard {self.mean_jaccard:.4f}: "
            + ", ".join(f"{tenth} {count}" for tenth, count in self.jaccard_tenths.items()),
        ]
        if self.only_first or self.only_second:
            lines.append(f"answered by one alone: {self.only_first} by the first, {self.only_second} by the second")
        for word, counts in (("gained", self.gained), ("lost", self.lost)):
            if counts:
                named = ", ".join(f"{self._name(species_id)} {count}" for species_id, count in counts.items())
                lines.append(f"{word} most often: {named}")
        if self.most_changed:
            columns = ["observation_id", "jaccard", "gained", "lost"]
            shown = [{**row, **{way: ", ".join(row[way]) for way in ("gained", "lost")}} for row in self.most_changed]
            lines.append(grid(columns, shown))
        return lines

    def _name(self, species_id: str) -> str:
        name = self.names.get(species_id, species_id)
        return species_id if name == species_id else f"{name} ({species_id})"


class ScoreReport(BaseModel):
    """An official score that is on record."""

    decision_id: str
    metric: str
    value: float
    source: str
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        again = "" if self.committed else " (known before)"
        return [f"{self.source} gives decision {self.decision_id} {self.metric} {self.value:g}{again}"]


class ProxyReport(BaseModel):
    """How far a metric of ours orders decisions as an official one does."""

    official_metric: str
    dataset: str
    split: str
    metric: str
    decisions: int
    spearman: float | None  # None where all are alike
    warning: str | None


class ScoresReport(BaseModel):
    """Official scores and what stands beside them."""

    official_scores: int
    without_proxy: list[str]  # decision ids
    proxies: list[ProxyReport]
    pairs: list[dict[str, Any]]

    def lines(self) -> list[Any]:
        """The report for people."""
        if not self.official_scores:
            return ["no official score is on record: taxalake submission score"]
        lines: list[Any] = []
        if self.pairs:
            columns = ["official_metric", "official_value", "dataset", "split", "metric", "proxy_value", "decision_id"]
            lines.append(grid(columns, self.pairs[:SHOWN]))
        if len(self.pairs) > SHOWN:
            lines.append(f"and {len(self.pairs) - SHOWN} more: --json shows all")
        for proxy in self.proxies:
            rank = "none" if proxy.spearman is None else f"{proxy.spearman:+.2f}"
            warning = f": {proxy.warning}" if proxy.warning else ""
            lines.append(
                f"{proxy.official_metric} by {proxy.metric} on {proxy.dataset} ({proxy.split}): rank correlation "
                f"{rank} over {proxy.decisions} decisions{warning}"
            )
        if self.without_proxy:
            lines.append(
                f"scored by a contest and by no evaluation of the same rule and model: {', '.join(self.without_proxy)}"
            )
        return lines


@flow(name="submit")
def submit(decision: str, dialect: str, out: Path | None = None, home: Path | None = None) -> SubmitReport:
    """Write the answers of a decision as a contest wants them.

    Args:
        decision: Id of the decision, or how it begins.
        dialect: plantclef2024, plantclef2025, plantclef2026 (the same) or snakeclef.
        out: The file, which is replaced; by default one in the home's submissions, named by what it is.
        home: The place's home.
    """
    place = settings.load(home=home)
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    wanted = submissions.dialect_of(dialect)
    decided = decisions.find(lake, decision)
    usual = place.home.resolve() / "submissions" / f"{decided.scope.dataset}-{wanted.name}-{decided.decision_id}.csv"
    path = usual if out is None else Path(out)
    written = submissions.write(lake, decided, wanted, path, run_id)
    if written.committed:
        ledger.record_stage(lake, run_id, "submit", decided.scope.dataset, written.row_count, 0, clock.seconds)
    return told(
        SubmitReport(
            submission_id=written.submission_id,
            decision_id=decided.decision_id,
            dataset=decided.scope.dataset,
            model_version=decided.model_version,
            dialect=wanted.name,
            path=str(path),
            rows=written.row_count,
            mean_species=written.mean_species,
            warnings=[str(warning) for warning in written.warnings],
            committed=written.committed,
        )
    )


def check(
    place: settings.Settings,
    file: Path,
    dialect: str | None = None,
    decision: str | None = None,
    dataset: str | None = None,
) -> CheckReport:
    """Say everything for which a contest would refuse a file. Writes nothing.

    Args:
        place: Settings; a home without tables will do where neither decision nor data set is said.
        file: The submission, one's own or a stranger's.
        dialect: What it has to be; the one of its header by default.
        decision: Id of the decision whose observations it has to answer, or how it begins.
        dataset: The data set whose observations it has to answer.

    Raises:
        LakeError: If there is no such file, dialect, decision or data set.
    """
    wanted = None if dialect is None else submissions.dialect_of(dialect)
    content = submissions.read(file)
    expected = _expected(place, decision, dataset)
    checked = submissions.check(content, wanted, expected, submissions.known_species(place.lake))
    shown = _of_each_kind(checked)
    return CheckReport(
        path=str(file),
        dialect=None if checked.dialect is None else checked.dialect.name,
        is_accepted=not checked.problems,
        rows=checked.row_count,
        species=len(checked.answers["species_id"].unique()),
        mean_species=checked.answers.num_rows / max(1, checked.row_count),
        expected=None if expected is None else expected.num_rows,
        problem_count=len(checked.problems),
        kinds=dict(Counter(problem.kind for problem in checked.problems)),
        problems=[ProblemReport(line=one.line, kind=one.kind, detail=one.detail) for one in shown],
        warning_count=len(checked.warnings),
        warnings=[str(warning) for warning in checked.warnings[:SHOWN]],
    )


def compare(place: settings.Settings, first: str, second: str) -> CompareReport:
    """Say how two submissions differ, observation by observation. Writes nothing.

    Args:
        place: Settings; a home without tables will do for two files.
        first: A file, or the id of a decision, or how it begins.
        second: The same; species that it alone answers are gained.

    Raises:
        LakeError: If one is neither a file that a contest would take nor a decision, or they have no observation in
            common.
    """
    found = submissions.compare(_answers(place, first), _answers(place, second), _SPECIES_SHOWN)
    known = submissions.known_species(place.lake)
    species = [] if known is None else known.select(["species_id", "scientific_name"]).to_pylist()
    counts: dict[str, dict[str, int]] = {"gained": {}, "lost": {}}
    for row in found.species.to_pylist():
        counts[row["change"]][row["species_id"]] = row["observation_count"]
    mentioned = counts["gained"].keys() | counts["lost"].keys()
    first_changes = found.changes.slice(0, SHOWN).select(["observation_id", "jaccard", "gained", "lost"]).to_pylist()
    return CompareReport(
        first=first,
        second=second,
        observations=int(found.totals["observations"]),
        changed=int(found.totals["changed"]),
        only_first=int(found.totals["only_first"]),
        only_second=int(found.totals["only_second"]),
        first_mean_species=found.totals["first_mean_species"],
        second_mean_species=found.totals["second_mean_species"],
        mean_jaccard=found.totals["mean_jaccard"],
        jaccard_tenths={f"{tenth / 10:.1f}": count for tenth, count in found.tenths.items()},
        gained=counts["gained"],
        lost=counts["lost"],
        names={one["species_id"]: one["scientific_name"] for one in species if one["species_id"] in mentioned},
        most_changed=[row for row in first_changes if row["jaccard"] < 1],
    )


@flow(name="submission-score")
def score(decision: str, metric: str, value: float, source: str = "kaggle", home: Path | None = None) -> ScoreReport:
    """Put on record what a contest says of a decision; a later score of the same metric holds.

    Args:
        decision: Id of the decision, or how it begins.
        metric: As the contest calls it.
        value: As the contest gives it.
        source: Who says so.
        home: The place's home.
    """
    lake = settings.load(home=home).lake
    decided = decisions.find(lake, decision)
    is_new = submissions.enter_score(lake, decided.decision_id, metric, value, source, flow_run_id())
    return told(
        ScoreReport(decision_id=decided.decision_id, metric=metric, value=value, source=source, committed=is_new)
    )


def scores(place: settings.Settings) -> ScoresReport:
    """Set every evaluation beside the official scores of the same rule and model. Writes nothing."""
    found = submissions.proxy_scores(place.lake)
    paired = set(found.pairs["decision_id"].to_pylist())
    return ScoresReport(
        official_scores=found.scores.num_rows,
        without_proxy=sorted(set(found.scores["decision_id"].to_pylist()) - paired),
        proxies=[
            ProxyReport(
                official_metric=row["official_metric"],
                dataset=row["dataset"],
                split=row["split"],
                metric=row["metric"],
                decisions=row["decision_count"],
                spearman=row["spearman"],
                warning=warning_of(row["decision_count"], row["spearman"]),
            )
            for row in found.correlations.to_pylist()
        ],
        pairs=found.pairs.to_pylist(),
    )


def warning_of(decisions: int, spearman: float | None) -> str | None:
    """Say in words what a rank correlation does not show; None where there is nothing to warn of."""
    words = []
    if decisions < _FEWEST_DECISIONS:
        words.append(f"says nothing yet, with fewer than {_FEWEST_DECISIONS} decisions")
    elif spearman is None:
        words.append("says nothing, as one of the two does not tell the decisions apart")
    if spearman is not None and spearman < 0:
        words.append("negative, so the better here is the worse there (unless less is better in one of the two)")
    return "; ".join(words) or None


def _expected(place: settings.Settings, decision: str | None, dataset: str | None) -> pa.Table | None:
    if decision is not None and dataset is not None:
        raise LakeError("a file answers the observations of a decision or of a data set: say --decision or --dataset")
    if decision is not None:
        return submissions.observations_of_decision(place.lake, decisions.find(place.lake, decision))
    return None if dataset is None else submissions.observations_of_dataset(place.lake, dataset)


def _of_each_kind(checked: Checked) -> list[Problem]:
    """Return the first problems in the order of their lines, no kind being crowded out by another."""
    seen: Counter[str] = Counter()
    ranked = []
    for place, problem in enumerate(checked.problems):
        ranked.append((seen[problem.kind], place))
        seen[problem.kind] += 1
    return [checked.problems[place] for place in sorted(place for _, place in sorted(ranked)[:SHOWN])]


def _answers(place: settings.Settings, asked: str) -> pa.Table:
    """Return the answers of a file, or else of a decision: observation_id, species_id.

    Raises:
        LakeError: If it is neither, or a contest would refuse the file.
    """
    file = Path(asked)
    if file.is_file():
        checked = submissions.check(submissions.read(file))
        if checked.problems:
            raise LakeError(
                f"{file} cannot be compared, {len(checked.problems)} problems, first {checked.problems[0]}. "
                f"`taxalake submission check` shows them."
            )
        return checked.answers.select(["observation_id", "species_id"])
    try:
        decided = decisions.find(place.lake, asked)
    except LakeError as error:
        raise LakeError(f"there is no file {asked!r}, and as the id of a decision: {error}") from error
    return submissions.answers_of_decision(decided)


def _warned(warnings: list[str], count: int | None = None) -> list[str]:
    count = len(warnings) if count is None else count
    lines = [f"  warning: {warning}" for warning in warnings[:SHOWN]]
    return lines if count <= SHOWN else [*lines, f"{count} warnings, {SHOWN} shown"]
