"""A place as one page that people look at: its models, what was decided, its data sets, what it costs, and room."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.answers import in_bytes
from flows.maintain import LITTLE_ROOM
from flows.orchestration import in_flow_run, told
from flows.prefect_pages import show_figures
from lake import maintenance, query, tables
from lake.schemas import TABLES
from lake.text import plain

if TYPE_CHECKING:
    from modeling.registry import Version
    from modeling.report import Figure
    from modeling.station_page import Grid, Section

FILE = "station.html"
_MOST_DECISIONS = 20
_MOST_VERSIONS = 40
_MOST_SCORED = 3  # sides of data sets whose scores are drawn
_METRICS = ("macro_f1", "macro_f1_per_observation", "accuracy")  # the first that is there counts
_SEEN = ("stage_runs", "image_records", "images", "labels", "ingest_issues", "evaluations", "retrain_decisions")
_COVERAGE = ("image_records", "boxes", "embeddings", "embedding_specs", "ingest_issues")


class StationReport(BaseModel):
    """The page of a place, and what stands on top of it."""

    page: str = ""  # empty where there are no tables yet
    photographs: int = 0
    observations: int = 0
    pending: int = 0  # photographs that wait for vectors under a key and scheme of their data set
    set_aside: int = 0
    models: int = 0
    table_bytes: int = 0
    disk_free_bytes: int = 0
    warnings: list[str] = []

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.page:
            return ["there are no tables yet: nothing to show"]
        return [
            f"{self.photographs:,} photographs of {self.observations:,} observations, {self.pending:,} of them to be "
            f"embedded, {self.set_aside:,} set aside; {self.models} models; tables of {in_bytes(self.table_bytes)}, "
            f"{in_bytes(self.disk_free_bytes)} of the disk are left",
            *(f"WARNING: {warning}" for warning in self.warnings),
            f"the page: {self.page}",
        ]


@flow(name="station-report")
def station_report(home: Path | None = None) -> StationReport:
    """Write a page about the whole place into the home, and its figures.

    Args:
        home: The place's home.
    """
    from modeling import station_page
    from modeling.station_page import StationPage

    place = settings.load(home=home)
    if not tables.exists(place.lake, "images"):
        return told(StationReport())
    now = datetime.now(UTC)
    seen = _Seen.of(place)
    drawn = _drawn(place, seen, now.date())
    warnings = _warnings(seen)
    report = StationReport(
        page=str(place.home.resolve() / "reports" / FILE),
        photographs=_total(seen.datasets, "photographs"),
        observations=_total(seen.datasets, "observations"),
        pending=_total(seen.coverage, "pending"),
        set_aside=_total(seen.set_aside, "count"),
        models=len({version.name for version in seen.versions}),
        table_bytes=sum(size.byte_count for size in seen.sizes.values()),
        disk_free_bytes=seen.disk[1],
        warnings=warnings,
    )
    text = station_page.page(
        StationPage(
            title=f"The station of {plain(place.home.resolve().name)}",
            when=f"As of {now:%Y-%m-%d %H:%M} UTC, in {plain(str(place.home.resolve()))}",
            headline=[
                ("photographs", f"{report.photographs:,}"),
                ("observations", f"{report.observations:,}"),
                ("to be embedded", f"{report.pending:,}"),
                ("set aside", f"{report.set_aside:,}"),
                ("models", f"{report.models:,}"),
                ("tables", in_bytes(report.table_bytes)),
                ("disk left", in_bytes(report.disk_free_bytes)),
            ],
            warnings=warnings,
            sections=_sections(seen, drawn),
        )
    )
    file = Path(report.page)
    file.parent.mkdir(parents=True, exist_ok=True)
    passing = file.with_suffix(".partial")
    passing.write_text(text, encoding="utf-8")
    passing.replace(file)
    if in_flow_run():
        show_figures([place.figures / f"{name}.png" for name in ("station-costs", "station-growth")])
    return told(report)


@dataclass(frozen=True)
class _Seen:
    """What the tables and the registry say of a place."""

    unit: str  # day, week or month: the length of a period
    datasets: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    growth: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    versions: "list[Version]"  # of every model, the newest first
    sizes: dict[str, maintenance.Size]
    disk: tuple[int, int]  # bytes in all, and those that are left

    @classmethod
    def of(cls, place: settings.Settings) -> "_Seen":
        """Ask for all of it."""
        lake = place.lake
        snapshots = tables.latest(lake, *dict.fromkeys((*_SEEN, *_COVERAGE)))
        with query.session(lake, snapshots) as ask:
            days = [
                ask.answer(f"upkeep/{one}", unit="day")["period"] for one in ("photographs_over_time", "stage_costs")
            ]
            unit = _unit([day for column in days for day in column.to_pylist()])
            found = {
                "datasets": ask.answer("audit/dataset_counts"),
                "coverage": ask.answer("audit/embedding_coverage"),
                "growth": ask.answer("upkeep/photographs_over_time", unit=unit),
                "costs": ask.answer("upkeep/stage_costs", unit=unit),
                "set_aside": ask.answer("upkeep/set_aside"),
                "scores": ask.answer("upkeep/model_scores"),
                "decisions": ask.answer("upkeep/last_decisions", most=_MOST_DECISIONS),
            }
        disk = shutil.disk_usage(lake.root if lake.is_local else place.home)
        return cls(
            unit=unit,
            **{name: answer.to_pylist() for name, answer in found.items()},
            versions=_versions(place),
            sizes={name: maintenance.size_of(lake, name) for name in TABLES if tables.exists(lake, name)},
            disk=(disk.total, disk.free),
        )


def _unit(days: Sequence[date]) -> str:
    """Return the period in which a picture has some tens of them at most."""
    span = (max(days) - min(days)).days if days else 0
    return "day" if span <= 45 else "week" if span <= 400 else "month"


def _versions(place: settings.Settings) -> "list[Version]":
    if not place.has_registry:
        return []
    from modeling.registry import Registry

    registry = Registry(place.registry_uri, place.artifacts)
    return [version for name in registry.names() for version in reversed(registry.versions(name))]


def _warnings(seen: _Seen) -> list[str]:
    from modeling.registry import CHAMPION

    total, free = seen.disk
    warnings = []
    if free < LITTLE_ROOM * total:
        warnings.append(f"only {free / total:.1%} of the disk are left: taxalake maintain says what could go")
    crowned = {version.name for version in seen.versions if CHAMPION in version.aliases}
    bare = sorted({version.name for version in seen.versions} - crowned)
    if bare:
        warnings.append(f"models without a champion, which nobody can ask: {', '.join(bare)}")
    return warnings


def _drawn(place: settings.Settings, seen: _Seen, today: date) -> "Mapping[str, list[Figure]]":
    """Draw the figures of the page; they lie in the home as well."""
    from modeling import station_figures as drawing
    from modeling.report import Figure

    folder = place.figures
    costs = [
        drawing.StageCost(row["stage"], row["period"], row["seconds"], row["images_per_second"]) for row in seen.costs
    ]
    growth = [drawing.Growth(row["dataset"], row["period"], row["photographs"]) for row in seen.growth]
    figures = {
        "costs": [
            Figure(
                "What stages cost",
                f"Time of all runs in a {seen.unit}, and photographs a second.",
                drawing.draw_costs(costs, seen.unit, folder / "station-costs.png").read_bytes(),
            )
        ],
        "datasets": [
            Figure(
                "Photographs on record",
                "By when they were taken in.",
                drawing.draw_growth(growth, today, folder / "station-growth.png").read_bytes(),
            )
        ],
    }
    figures["models"] = []
    for number, ((dataset, split, metric), scores) in enumerate(_scored_sides(seen)):
        file = drawing.draw_scores(scores, metric, folder / f"station-scores-{number + 1}.png")
        figures["models"].append(
            Figure(f"{metric} on {_side(split)} of {dataset}", "Versions as last scored.", file.read_bytes())
        )
    return figures


def _scored_sides(seen: _Seen) -> "list[tuple[tuple[str, str, str], list[Any]]]":
    """Return the sides of data sets that most versions were scored on, in the metric that counts there."""
    from modeling.registry import CHAMPION
    from modeling.station_figures import VersionScore

    known = {version.recorded_as: version for version in seen.versions}
    sides: dict[tuple[str, str], dict[str, list[VersionScore]]] = {}
    for row in seen.scores:
        version = known.get(row["model_version"])
        if version is not None:
            score = VersionScore(
                version.name,
                version.number,
                row["value"],
                row["ci_low"],
                row["ci_high"],
                CHAMPION in version.aliases,
            )
            sides.setdefault((row["dataset"], row["split"]), {}).setdefault(row["metric"], []).append(score)
    chosen = []
    for (dataset, split), scores in sides.items():
        metric = next(metric for metric in _METRICS if metric in scores)
        chosen.append(((dataset, split, metric), scores[metric]))
    return sorted(chosen, key=lambda one: (-len(one[1]), one[0]))[:_MOST_SCORED]


def _sections(seen: _Seen, figures: "Mapping[str, list[Figure]]") -> "list[Section]":
    from modeling.station_page import Section

    return [
        Section("models", "Models", grids=[_models(seen)], figures=figures["models"]),
        Section(
            "decisions",
            "Decisions about retraining",
            words="The latest first. All of them: taxalake sql 'from retrain_decisions'",
            grids=[_decisions(seen)],
        ),
        Section("datasets", "Data sets", grids=[_datasets(seen), _coverage(seen)], figures=figures["datasets"]),
        Section("aside", "Set aside", words="Photographs and rows that could not be used.", grids=[_set_aside(seen)]),
        Section("costs", "Costs", grids=[_costs(seen)], figures=figures["costs"]),
        Section(
            "room",
            "Room",
            words=f"{in_bytes(seen.disk[1])} of {in_bytes(seen.disk[0])} are left. Older versions count until "
            f"taxalake maintain removes them.",
            grids=[_room(seen)],
        ),
    ]


def _models(seen: _Seen) -> "Grid":
    best: dict[str, str] = {}
    for metric in reversed(_METRICS):
        for row in seen.scores:
            if row["metric"] == metric:
                words = f"{row['value']:.3f} {_interval(row)}({metric}, {_side(row['split'])} of {row['dataset']})"
                best[row["model_version"]] = words
    rows = [
        (
            version.model_version,
            ", ".join(version.aliases),
            version.tags.get("dataset", ""),
            version.tags.get("species", ""),
            best.get(version.recorded_as, "not scored"),
            ": ".join(filter(None, (version.tags.get("verdict"), version.tags.get("verdict_reason")))),
        )
        for version in seen.versions[:_MOST_VERSIONS]
    ]
    rest = len(seen.versions) - len(rows)
    return _grid(
        "Versions, the newest of each model first",
        ("version", "aliases", "learnt from", "species", "last score", "verdict"),
        rows,
        {3},
        f"{rest:,} more are left out." if rest else "",
        strong=1,
    )


def _decisions(seen: _Seen) -> "Grid":
    rows = [
        (
            f"{row['decided_at']:%Y-%m-%d %H:%M}",
            row["dataset"],
            row["model"],
            row["decision"],
            row["reason"],
            _score(row["champion_score"]),
            _score(row["challenger_score"]),
        )
        for row in seen.decisions
    ]
    columns = ("when (UTC)", "data set", "model", "decision", "why", "champion", "challenger")
    return _grid("What retrain decided", columns, rows, {5, 6}, strong=3)


def _datasets(seen: _Seen) -> "Grid":
    names = ("photographs", "images", "observations", "labelled_observations", "species", "set_aside")
    rows = [(row["dataset"], *(f"{row[name]:,}" for name in names)) for row in seen.datasets]
    columns = ("data set", *(name.replace("_", " ") for name in names))
    return _grid("What is on record", columns, rows, set(range(1, 7)))


def _coverage(seen: _Seen) -> "Grid":
    rows = [
        (
            row["dataset"],
            row["backbone"] or "none yet",
            row["scheme_id"] or "",
            f"{row['embedded']:,}",
            f"{row['pending']:,}",
        )
        for row in seen.coverage
    ]
    columns = ("data set", "backbone", "tiling", "images embedded", "pending")
    return _grid("Embeddings", columns, rows, {3, 4})


def _set_aside(seen: _Seen) -> "Grid":
    rows = [(row["dataset"], row["kind"], f"{row['count']:,}", row["example"]) for row in seen.set_aside]
    return _grid("By reason", ("data set", "reason", "how many", "one of them"), rows, {2})


def _costs(seen: _Seen) -> "Grid":
    stages: dict[str, list[dict[str, Any]]] = {}
    for row in seen.costs:
        stages.setdefault(row["stage"], []).append(row)
    rows = [
        (
            stage,
            f"{_total(own, 'runs'):,}",
            f"{_total(own, 'rows'):,}",
            f"{_total(own, 'reused'):,}",
            f"{_total(own, 'seconds'):,.0f}",
            "–" if own[-1]["images_per_second"] is None else f"{own[-1]['images_per_second']:,.1f}",
        )
        for stage, own in sorted(stages.items())
    ]
    columns = ("stage", "runs that wrote", "rows", "reused", "seconds", f"images/s, last {seen.unit}")
    return _grid("All runs", columns, rows, {1, 2, 3, 4, 5})


def _room(seen: _Seen) -> "Grid":
    from modeling.station_page import Cell, Grid

    largest = sorted(seen.sizes.items(), key=lambda one: (-one[1].byte_count, one[0]))
    most = max((size.byte_count for _, size in largest), default=0) or 1
    rows = [
        [
            Cell(name),
            Cell(f"{size.files:,}"),
            Cell(in_bytes(size.byte_count)),
            Cell("", share=size.byte_count / most),
        ]
        for name, size in largest
        if size.files
    ]
    return Grid("Disk by table", ("table", "files", "size", ""), rows, frozenset({1, 2}))


def _grid(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: set[int],
    foot: str = "",
    strong: int = -1,
) -> "Grid":
    from modeling.station_page import Cell, Grid

    cells: list[list[Cell]] = [
        [Cell(plain(text), is_strong=place == strong) for place, text in enumerate(row)] for row in rows
    ]
    return Grid(title, columns, cells, frozenset(numbers), foot if cells else foot or "nothing yet")


def _total(rows: Sequence[Mapping[str, Any]], column: str) -> Any:
    return sum(row[column] for row in rows)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["ci_low"] is None or row["ci_high"] is None else f"[{row['ci_low']:.3f}–{row['ci_high']:.3f}] "


def _side(split: str) -> str:
    return "all" if split == "all" else f"the {split} side"
