"""Submissions in the dialects of the contests: written, held against their rules, compared, beside official scores.

What PlantCLEF calls plot_id (2024) or quadrat_id (2025 and 2026) is the observation_id: of a quadrat that is the name
of its file without folder and extension, as ``lake.sources.plantclef`` takes it, so that ids pass through as they are.
"""

import hashlib
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from lake import query, tables
from lake.decisions import Decision
from lake.errors import LakeError
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines would also part at signs that may stand in an id
_SEPARATOR = re.compile(r"[;,\t|]")
_INTEGER = re.compile(r"0|[1-9][0-9]*")
_INTEGERS = re.compile(rf"\[(?:{_INTEGER.pattern})(?:, (?:{_INTEGER.pattern}))*\]")
_LIST = re.compile(r"\[[^\[\],\s]+(?:, [^\[\],\s]+)*\]")
_NAMED = 5  # examples in a message
_ALL = "all"  # the split of a decision about a whole data set


@dataclass(frozen=True)
class Dialect:
    """How a contest wants its file: UTF-8, a header, a row per observation, line feeds; species ids are integers."""

    name: str
    columns: tuple[str, str]
    delimiter: str
    is_quoted: bool  # every field; else none, and none may hold the delimiter or a quote
    is_list: bool  # ``[id, id]`` with all species of an observation; else exactly one

    @property
    def header(self) -> str:
        """The first line."""
        return self._line(*self.columns)

    @cached_property
    def form(self) -> re.Pattern[str]:
        """What a line has to match; its groups are the two fields as they stand there."""
        field = '"((?:[^"]|"")*)"' if self.is_quoted else f'([^{self.delimiter}"]*)'
        return re.compile(f"{field}{self.delimiter}{field}")

    def row(self, observation_id: str, species_ids: list[str]) -> str:
        """Return the line of an observation. A dialect of one species writes the only one."""
        return self._line(observation_id, f"[{', '.join(species_ids)}]" if self.is_list else ", ".join(species_ids))

    def _line(self, *fields: str) -> str:
        if self.is_quoted:
            fields = tuple('"' + field.replace('"', '""') + '"' for field in fields)
        return self.delimiter.join(fields)


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect("plantclef2024", ("plot_id", "species_ids"), ";", is_quoted=False, is_list=True),
            Dialect("plantclef2025", ("quadrat_id", "species_ids"), ",", is_quoted=True, is_list=True),
            Dialect("snakeclef", ("observation_id", "class_id"), ",", is_quoted=False, is_list=False),
        )
    }
)

_SAME_AS = {"plantclef2026": "plantclef2025"}


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file."""

    line: int | None  # counted from 1, the header's; None: something that is not there
    kind: str
    detail: str

    def __str__(self) -> str:
        return self.detail if self.line is None else f"line {self.line}: {self.detail}"


@dataclass(frozen=True)
class Checked:
    """What a file says and what is wrong with it."""

    dialect: Dialect | None  # that its header speaks; the one that was asked for where it speaks none
    answers: pa.Table  # row_number, observation_id, species_id: as far as it can be read
    row_count: int
    problems: tuple[Problem, ...]  # in the order of their lines; with one the file is refused
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class Written:
    """A submission that lies in a file."""

    submission_id: str
    row_count: int
    mean_species: float
    warnings: tuple[Problem, ...]
    committed: bool


@dataclass(frozen=True)
class Comparison:
    """How two submissions differ."""

    totals: dict[str, float]  # as ``submissions/change_totals`` names them
    tenths: dict[int, int]  # Jaccard similarity in tenths, 10: the same -> observations
    changes: pa.Table  # of each observation: first_count, second_count, kept_count, jaccard, gained, lost
    species: pa.Table  # change, species_id, observation_count


@dataclass(frozen=True)
class ProxyScores:
    """Scores that can be had at once beside those of the contest."""

    scores: pa.Table  # official scores: decision_id, metric, value, source, entered_at
    pairs: pa.Table  # dataset, split, metric, official_metric, decision_id, proxy_value, official_value
    correlations: pa.Table  # dataset, split, metric, official_metric, decision_count, spearman (null without order)


def dialect_of(name: str) -> Dialect:
    """Return a dialect by its name, or by the name of a later contest that takes the same file.

    Raises:
        LakeError: If there is none of that name.
    """
    spoken = _SAME_AS.get(name, name)
    if spoken not in DIALECTS:
        raise LakeError(f"there is no dialect {name!r}; the dialects are {', '.join(sorted({*DIALECTS, *_SAME_AS}))}")
    return DIALECTS[spoken]


def observations_of_dataset(lake: Lake, dataset: str) -> pa.Table:
    """Return every observation of a data set: observation_id.

    Raises:
        LakeError: If it has none.
    """
    snapshots = tables.latest(lake, "image_records")
    found = query.answer(lake, "labels/observation_tags", snapshots, dataset=dataset).select(["observation_id"])
    if not found.num_rows:
        raise LakeError(f"there is no observation of a data set {dataset!r} in {lake.root}: is it spelt so?")
    return found


def observations_of_decision(lake: Lake, decision: Decision) -> pa.Table:
    """Return the observations that the answers of a decision are wanted for: observation_id.

    Of a decision about a whole data set these are the ones that the data set has now: a contest wants those as well
    that came later.
    """
    scope = decision.scope
    return observations_of_dataset(lake, scope.dataset) if scope.split == _ALL else scope.observations


def answers_of_decision(decision: Decision) -> pa.Table:
    """Return what a decision answers: observation_id, species_id, one row per answer, no runners-up."""
    return decision.answers.filter(decision.answers["is_answer"]).select(["observation_id", "species_id"])


def known_species(lake: Lake) -> pa.Table | None:
    """Return what is known of every species, None where the lake has no table of species."""
    if not tables.exists(lake, "species"):
        return None
    return query.answer(lake, "labels/current_species", tables.latest(lake, "species"))


def content_of(dialect: Dialect, answers: pa.Table) -> bytes:
    """Return the file of some answers. The same answers in any order make the same bytes.

    Observations are ordered by id, and their species by id: numbers by their value, others as text after them.

    Args:
        dialect: How it is written.
        answers: observation_id, species_id, one row per answer.
    """
    rows = query.answer(None, "submissions/species_lists", frames={"answers": answers})
    listed = zip(rows["observation_id"].to_pylist(), rows["species_ids"].to_pylist(), strict=True)
    lines = [dialect.header, *(dialect.row(*row) for row in listed)]
    return "".join(f"{line}\n" for line in lines).encode()


def read(path: Path) -> bytes:
    """Return the bytes of a submission.

    Raises:
        LakeError: If there is no such file.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise LakeError(f"the submission {path} cannot be read: {error.strerror}") from error


def check(
    content: bytes,
    dialect: Dialect | None = None,
    expected: pa.Table | None = None,
    species: pa.Table | None = None,
) -> Checked:
    """Find everything that is wrong with a file, one's own or a stranger's. Reads no table and writes none.

    A file of another dialect than asked for is read as what it is, so that its other problems are found as well.

    Args:
        content: The bytes of the file.
        dialect: What it has to be; the one that its header speaks by default.
        expected: observation_id: the rows that it has to have; None where nobody knows.
        species: species_id: those that are known; None where nobody knows. Others are warned of.
    """
    lines, problems = _lines(content)
    spoken, wrong = _spoken(lines, dialect)
    problems += wrong
    rows: list[tuple[int, str]] = []
    answers: list[tuple[int, str, str]] = []
    if spoken is not None:
        for number, line in enumerate(lines[1:], start=2):
            if not line.strip():
                problems.append(Problem(number, "blank_line", "is blank"))
                continue
            observation_id, answer, torn = _fields(spoken, number, line)
            problems += torn
            if not observation_id.strip():
                problems.append(Problem(number, "empty_id", f"has no {spoken.columns[0]}"))
            elif answer is not None:
                rows.append((number, observation_id))
            if answer is None:
                continue
            found, wrong = _species(spoken, number, answer)
            problems += wrong
            answers += [(number, observation_id, species_id) for species_id in found]
    if lines and not any(line.strip() for line in lines[1:]):
        problems.append(Problem(None, "no_rows", "has no row below its header"))
    answered = _table("row_number observation_id species_id", answers)
    frames = {
        "submission_rows": _table("row_number observation_id", rows),
        "submission_answers": answered,
        "expected_observations": _table("observation_id", []) if expected is None or spoken is None else expected,
        "current_species": _table("species_id", []) if species is None else species,
    }
    of_rows = query.answer(None, "submissions/row_problems", frames=frames).to_pylist()
    warnings = tuple(_row_problem(row) for row in of_rows if row["kind"] == "unknown_species")
    problems += [_row_problem(row) for row in of_rows if row["kind"] != "unknown_species"]
    problems.sort(key=lambda problem: math.inf if problem.line is None else problem.line)
    return Checked(spoken, answered, len(rows), tuple(problems), warnings)


def write(lake: Lake, decision: Decision, dialect: Dialect, path: Path, flow_run_id: str) -> Written:
    """Write the answers of a decision into a file and put it on record, once. A file that is there is replaced.

    The file is held against the same rules as any other one before it takes its place.

    Raises:
        LakeError: If an observation has no answer, or several where the contest wants one, or the contest would refuse
            the file for another reason. Then nothing is written.
    """
    expected, answers = observations_of_decision(lake, decision), answers_of_decision(decision)
    _require_answers(decision, dialect, expected, answers)
    content = content_of(dialect, answers)
    checked = check(content, dialect, expected, known_species(lake))
    if checked.problems:
        raise LakeError(
            f"decision {decision.decision_id} cannot be written in the dialect {dialect.name}, {len(checked.problems)} "
            f"problems: {_some([str(problem) for problem in checked.problems], '; ')}"
        )
    _place(path, content)
    submission_id = tables.digest([hashlib.sha256(content).hexdigest(), decision.decision_id])
    row = {
        "submission_id": submission_id,
        "decision_id": decision.decision_id,
        "dialect": dialect.name,
        "path": str(path.resolve()),
        "row_count": checked.row_count,
        "written_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    done = tables.append(lake, "submissions", pa.Table.from_pylist([row], schema=TABLES["submissions"].columns))
    mean = answers.num_rows / checked.row_count
    return Written(submission_id, checked.row_count, mean, checked.warnings, done.row_count > 0)


def compare(first: pa.Table, second: pa.Table, most: int = 10) -> Comparison:
    """Say how the answers of two submissions differ. Reads no table and writes none.

    The similarity of two answers to an observation is Jaccard's (1901): species in both over species in either.

    Args:
        first: observation_id, species_id, one row per answer.
        second: The same.
        most: Species listed of those that were gained, and of those that were lost.

    Raises:
        LakeError: If they have no observation in common.
    """
    with query.session(None, frames={"first_answers": first, "second_answers": second}) as ask:
        changes = ask.answer("submissions/observation_changes")
        ask.show("observation_changes", changes)
        (totals,) = ask.answer("submissions/change_totals").to_pylist()
        if not totals["in_both"]:
            raise LakeError(
                f"the two have no observation in common: one answers {_first_id(first)}, the other {_first_id(second)}"
            )
        tenths = ask.answer("submissions/jaccard_counts")
        species = ask.answer("submissions/species_changes", most=most)
    counts = dict(zip(tenths["tenth"].to_pylist(), tenths["observation_count"].to_pylist(), strict=True))
    return Comparison(totals, counts, changes, species)


def enter_score(lake: Lake, decision_id: str, metric: str, value: float, source: str, flow_run_id: str) -> bool:
    """Put on record what the contest says of a decision, and say whether that is news. A later score replaces it.

    Raises:
        LakeError: If the value is no number or the metric has no name.
    """
    if not math.isfinite(value):
        raise LakeError(f"an official score is a number, not {value}")
    if not metric.strip() or not source.strip():
        raise LakeError(f"an official score needs a metric and a source, not {metric!r} and {source!r}")

    def plan(snapshot: Snapshot) -> pa.Table:
        scores = query.answer(lake, "submissions/current_scores", [snapshot]).to_pylist()
        holding = [one for one in scores if (one["decision_id"], one["metric"]) == (decision_id, metric)]
        row = {
            "decision_id": decision_id,
            "metric": metric,
            "value": float(value),
            "source": source,
            "entered_at": tables.later(one["entered_at"] for one in holding),
            "flow_run_id": flow_run_id,
        }
        is_known = any((one["value"], one["source"]) == (row["value"], source) for one in holding)
        return pa.Table.from_pylist([] if is_known else [row], schema=TABLES["official_scores"].columns)

    return tables.append_planned(lake, "official_scores", plan).row_count > 0


def proxy_scores(lake: Lake) -> ProxyScores:
    """Set the scores of evaluations beside the official ones and say how alike they order the decisions.

    A score belongs to a rule and a model: the contest scores their decision about one data set, an evaluation their
    decision about another one or about a split. The correlation of the ranks is Spearman's (1904).
    """
    with query.session(lake, tables.latest(lake, "evaluations", "decisions", "official_scores")) as ask:
        scores = ask.answer("submissions/current_scores")
        ask.show("current_scores", scores)
        pairs = ask.answer("submissions/score_pairs")
        ask.show("score_pairs", pairs)
        return ProxyScores(scores, pairs, ask.answer("submissions/rank_correlations"))


def _lines(content: bytes) -> tuple[list[str], list[Problem]]:
    """Return the lines of a file without their ends, and what is wrong with its text."""
    problems = []
    if content.startswith(_BOM):
        problems.append(Problem(1, "byte_order_mark", "begins with a byte order mark"))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.append(Problem(line, "not_utf8", f"is no UTF-8: {content[error.start : error.start + 1]!r}"))
        text = content.decode(errors="replace")
    lines = _LINE_END.split(text.removeprefix(_BOM.decode()))
    others = [(number, end) for number, end in enumerate(_LINE_END.findall(text), start=1) if end != "\n"]
    if others:
        # Once: all lines of a file end alike, or nearly all.
        number, end = others[0]
        problems.append(Problem(number, "line_end", f"ends with {end!r}, not with '\\n'; so do {len(others)} lines"))
    if lines[-1] == "":
        lines.pop()
    if not lines:
        problems.append(Problem(None, "empty_file", "is empty"))
    return lines, problems


def _spoken(lines: list[str], asked: Dialect | None) -> tuple[Dialect | None, list[Problem]]:
    """Return the dialect whose columns a header names, however it parts and quotes them, and what is wrong with it."""
    if not lines:
        return asked, []
    header = lines[0]
    columns = tuple(field.strip().strip('"').strip() for field in _SEPARATOR.split(header))
    spoken = next((dialect for dialect in DIALECTS.values() if dialect.columns == columns), None)
    if spoken is None:
        wanted = f"{asked.name} wants {asked.header}" if asked else f"known are {_headers()}"
        return asked, [Problem(1, "wrong_header", f"is no header: {_shown(header)}; {wanted}")]
    problems = []
    if asked not in {None, spoken}:
        problems.append(
            Problem(
                1,
                "wrong_dialect",
                f"this is a file of the dialect {spoken.name} ({_shown(header)}), and {asked.name} was asked for, "
                f"whose header is {asked.header}",
            )
        )
    if header != spoken.header:
        problems.append(
            Problem(1, "wrong_header", f"the header is {_shown(header)}; {spoken.name} wants {spoken.header}")
        )
    return spoken, problems


def _fields(dialect: Dialect, number: int, line: str) -> tuple[str, str | None, list[Problem]]:
    """Return the two fields of a line, as far as they can be told apart (the second one None), and what is wrong."""
    match = dialect.form.fullmatch(line)
    if match is not None:
        observation_id, answer = match.groups()
        if dialect.is_quoted:
            observation_id, answer = observation_id.replace('""', '"'), answer.replace('""', '"')
        return observation_id, answer, []
    separator = _SEPARATOR.search(line)
    if separator is None:
        return line, None, [Problem(number, "wrong_fields", f"has no second field: {_shown(line)}")]
    problems = []
    if separator.group() != dialect.delimiter:
        detail = f"is parted by {separator.group()!r}, and {dialect.name} wants {dialect.delimiter!r}: {_shown(line)}"
        problems.append(Problem(number, "wrong_separator", detail))
    if dialect.is_quoted and line.count('"') < 4:  # two fields have two each
        detail = f"has fields without quotes, and {dialect.name} wants both in quotes: {_shown(line)}"
        problems.append(Problem(number, "wrong_quoting", detail))
    elif not dialect.is_quoted and '"' in line:
        problems.append(Problem(number, "wrong_quoting", f"has quotes, and {dialect.name} wants none: {_shown(line)}"))
    elif not problems:
        problems.append(Problem(number, "wrong_fields", f"is not two fields: {_shown(line)}"))
    observation_id, answer = (part.strip().strip('"') for part in (line[: separator.start()], line[separator.end() :]))
    return observation_id, answer, problems


def _species(dialect: Dialect, number: int, answer: str) -> tuple[list[str], list[Problem]]:
    """Return the species of an answer and what is wrong with them."""
    if dialect.is_list and _INTEGERS.fullmatch(answer):
        return answer[1:-1].split(", "), []
    problems = []
    found = [part.strip("'\"") for part in re.split(r"[,;\s]+", answer.strip().strip("[]").strip())]
    if not any(found):
        return [], [Problem(number, "empty_answer", "has no species")]
    if not dialect.is_list:
        found = [answer]
    elif _LIST.fullmatch(answer):
        found = answer[1:-1].split(", ")
    else:
        problems.append(Problem(number, "malformed_list", f"is not of the form [id, id]: {_shown(answer)}"))
    odd = [one for one in found if not _INTEGER.fullmatch(one)]
    if odd:
        problems.append(Problem(number, "not_an_integer", f"species ids are integers, and not {_some(odd)}"))
    return found, problems


def _row_problem(row: Mapping[str, object]) -> Problem:
    """Put a row of ``submissions/row_problems`` into words."""
    observation_id, species_id, near = row["observation_id"], row["species_id"], row["near_id"]
    detail = {
        "double_id": f"{observation_id!r} has a row already, in line {row['earlier_row']}",
        "unknown_id": f"{observation_id!r} is none of the observations" + (f", but {near!r} is one" if near else ""),
        "missing_id": f"{observation_id!r} has no row",
        "answer_twice": f"species {species_id} stands more than once in the answer to {observation_id!r}",
        "unknown_species": f"species {species_id} is not on record",
    }[str(row["kind"])]
    line = row["row_number"]
    return Problem(line if isinstance(line, int) else None, str(row["kind"]), detail)


def _require_answers(decision: Decision, dialect: Dialect, expected: pa.Table, answers: pa.Table) -> None:
    """Refuse a decision that leaves an observation without the answer that a contest wants.

    Raises:
        LakeError: If there is one. The first ones are named.
    """
    frames = {"expected_observations": expected, "answers": answers}
    counts = query.answer(None, "submissions/answer_counts", frames=frames).to_pylist()
    name = f"decision {decision.decision_id} about {decision.scope.dataset!r} ({decision.scope.split})"
    silent = [row["observation_id"] for row in counts if not row["answer_count"]]
    if silent:
        raise LakeError(
            f"{name} has no answer to {len(silent)} of {len(counts)} observations: {_some(silent)}. Predict with all "
            f"photographs on record and with an answer for each (no --allow-empty), and submit that decision."
        )
    several = [row["observation_id"] for row in counts if row["answer_count"] > 1]
    if several and not dialect.is_list:
        raise LakeError(
            f"{dialect.name} takes one species for each observation, and {name} has several for {len(several)} of "
            f"{len(counts)}: {_some(several)}. Predict with --species one."
        )


def _place(path: Path, content: bytes) -> None:
    """Put a file in its place in one step.

    Raises:
        LakeError: If it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise LakeError(f"the submission {path} cannot be written: {error.strerror}") from error


def _table(columns: str, rows: list[tuple[int, str]] | list[tuple[int, str, str]]) -> pa.Table:
    names = columns.split()
    kinds = [pa.int64() if name == "row_number" else pa.string() for name in names]
    by_column = zip(*rows, strict=True) if rows else iter([()] * len(names))
    arrays = [pa.array(values, kind) for values, kind in zip(by_column, kinds, strict=True)]
    return pa.table(arrays, names=names)


def _headers() -> str:
    return ", ".join(f"{dialect.header} ({dialect.name})" for dialect in DIALECTS.values())


def _first_id(answers: pa.Table) -> str:
    return f"{answers['observation_id'][0].as_py()!r}, ..." if answers.num_rows else "nothing"


def _some(values: list[str], between: str = ", ") -> str:
    more = f"{between}and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return between.join(values[:_NAMED]) + more


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
