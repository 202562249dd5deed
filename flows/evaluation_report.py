"""One evaluation as a page that people look at: scores, slices, species, quadrats, and how it was made."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.settings import Settings
from lake import decisions, query, tables
from lake.decisions import Decision, Part
from lake.embeddings import images_of
from lake.evaluations import Evaluation
from lake.rules import ONE, DecisionRule
from modeling import calibration, evaluation_figures, report
from modeling.evaluation_figures import NamedTile
from modeling.report import EvaluationReport, Figure, Picture, Score, SliceScore, SpeciesScore

if TYPE_CHECKING:
    from modeling.registry import Version

_PICTURES = 4  # of each report: a quadrat is a megabyte
_PICTURE_PX = 480
_NO_CALIBRATION = (
    "How sure the answers are is not held against how often they are right: only the score of one species, pooled by "
    "the mean and weighed by no prior, is a probability."
)


def write(
    place: Settings,
    version: "Version",
    decision: Decision,
    rule: DecisionRule,
    parts: Sequence[Part],
    scored: Evaluation,
) -> Path:
    """Write the report of an evaluation into the home and return its file; one that is there is left.

    Args:
        place: Settings.
        version: The model.
        decision: What was answered.
        rule: How it was decided.
        parts: Where the tiles of the rule stand.
        scored: The scores.
    """
    file = place.home.resolve() / "reports" / f"{scored.evaluation_id}.html"
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    names = dict(
        zip(scored.species["species_id"].to_pylist(), scored.species["scientific_name"].to_pylist(), strict=True)
    )
    with tempfile.TemporaryDirectory(prefix="taxalake-") as temporary:
        drawn = _Drawn(place, version, decision, rule, parts, scored, names, Path(temporary))
        text = report.page(
            EvaluationReport(
                title=f"{version.model_version} on {_side(decision)} of {decision.scope.dataset}",
                facts=_facts(version, decision, rule, scored),
                headline=_headline(scored, drawn.has_transects),
                without_looking=[report.Baseline(name, values) for name, values in sorted(scored.beside.items())],
                slices=drawn.slices,
                species=drawn.species,
                figures=drawn.figures(),
                pictures=drawn.pictures(),
                not_drawn=[] if drawn.is_probable else [_NO_CALIBRATION],
            )
        )
    passing = file.with_suffix(".partial")
    passing.write_text(text, encoding="utf-8")
    passing.replace(file)
    return file


class _Drawn:
    """What is drawn of one evaluation."""

    def __init__(
        self,
        place: Settings,
        version: "Version",
        decision: Decision,
        rule: DecisionRule,
        parts: Sequence[Part],
        scored: Evaluation,
        names: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._place, self._version, self._decision, self._rule = place, version, decision, rule
        self._parts, self._scored, self._names, self._folder = parts, scored, names, folder
        given = scored.answers.filter(scored.answers["is_answer"])
        self._given = given.filter(pc.equal(given["rank"], 1)) if decision.species == ONE else given
        self._truth = _by_observation(scored.truth)
        self._found = _by_observation(self._given)

    @property
    def has_transects(self) -> bool:
        """Whether it is known of any scored quadrat on which transect it lies."""
        records = [one for one in self._scored.snapshots if one.table == "image_records"]
        dataset = self._decision.scope.dataset
        facts = query.answer(self._place.lake, "labels/observation_facts", records, dataset=dataset)
        rows = zip(facts["observation_id"].to_pylist(), facts["transect"].to_pylist(), strict=True)
        return any(transect for observation, transect in rows if observation in self._truth)

    @property
    def slices(self) -> list[SliceScore]:
        """The scores of parts of the observations."""
        kinds = [(one, *one.slice.partition(":")) for one in self._scored.scores]
        return [
            SliceScore(kind, part, one.metric, one.value, one.low, one.high, one.count)
            for one, kind, _, part in kinds
            if part and kind != "species"
        ]

    @property
    def species(self) -> list[SpeciesScore]:
        """How well each species was found."""
        values: dict[str, dict[str, float]] = {}
        supports: dict[str, int] = {}
        for one in self._scored.scores:
            kind, _, species_id = one.slice.partition(":")
            if kind == "species":
                values.setdefault(species_id, {})[one.metric] = one.value
                supports[species_id] = one.count
        confused: dict[str, Counter[str]] = {}
        for (is_it, answered), count in self._confusions().items():
            if is_it != answered:
                confused.setdefault(is_it, Counter())[answered] = count
        learnt = dict(
            zip(
                self._scored.train_counts["species_id"].to_pylist(),
                self._scored.train_counts["train_count"].to_pylist(),
                strict=True,
            )
        )
        return [
            SpeciesScore(
                species_id,
                self._name(species_id),
                supports[species_id],
                found.get("precision"),
                found.get("recall"),
                found.get("f1"),
                learnt.get(species_id, 0),
                self._name(min(confused[species_id].items(), key=lambda one: (-one[1], one[0]))[0])
                if species_id in confused
                else None,
            )
            for species_id, found in sorted(values.items())
        ]

    def figures(self) -> list[Figure]:
        """Draw what there is to be seen of species, confusions, probabilities and slices."""
        species = self.species
        best = evaluation_figures.draw_best_and_worst(
            [one.name for one in species],
            np.array([np.nan if one.f1 is None else one.f1 for one in species], dtype=np.float64),
            np.array([one.support for one in species], dtype=np.int64),
            self._folder / "species.png",
        )
        figures = [Figure("Species", "Those that were found worst, and best.", best.read_bytes())]
        confusions = self._confusions()
        if any(is_it != answered for is_it, answered in confusions):
            named = Counter[tuple[str, str]]()
            for (is_it, answered), count in confusions.items():
                named[self._name(is_it), self._name(answered)] += count
            drawn = evaluation_figures.draw_confusion_matrix(named, self._folder / "confusions.png")
            words = "What the species that are confused most were taken for."
            figures.append(Figure("Confusions", words, drawn.read_bytes()))
        if self.is_probable and self._given.num_rows:
            figures.append(self._reliability())
        metric = "accuracy" if self._decision.species == ONE else "macro_f1_per_observation"
        parts = [one for one in self.slices if one.metric == metric]
        if parts:
            drawn = evaluation_figures.draw_slices(parts, self._scored.metrics[metric], self._folder / "slices.png")
            figures.append(Figure("Slices", "Where it works, and where it does not.", drawn.read_bytes()))
        return figures

    @property
    def is_probable(self) -> bool:
        """Whether scores are probabilities; a mean over tiles of a quadrat is a share of its ground."""
        rule = self._rule
        return rule.species == ONE and rule.pools_by == "mean" and not rule.priors

    def pictures(self) -> list[Picture]:
        """Show the observations that were answered worst: quadrats with their tiles, else photographs."""
        lake, dataset = self._place.lake, self._decision.scope.dataset
        worst = [one for one in self._worst_first() if self._found.get(one)][:_PICTURES]
        shown = []
        for number, observation in enumerate(worst):
            truth = [self._name(one) for one in self._truth[observation]]
            found = [self._name(one) for one in self._found[observation]]
            if self._decision.species == ONE:
                content = _photograph(self._place, dataset, observation)
                shown.append(Picture(observation, content, truth, found))
                continue
            seen = decisions.illustrate(
                lake,
                dataset,
                self._decision.decision_id,
                observation,
                self._version.tags["embedding_key"],
                self._parts,
                self._version.recorded_as,
            )
            drawn = evaluation_figures.draw_quadrat(
                seen.content,
                [NamedTile(**tile) for tile in seen.tiles],
                found,
                truth,
                seen.image_name,
                self._folder / f"quadrat-{number}.png",
            )
            shown.append(Picture(observation, drawn.read_bytes(), truth, found))
        return shown

    def _worst_first(self) -> list[str]:
        def f1(observation: str) -> float:
            truth, found = set(self._truth[observation]), set(self._found.get(observation, ()))
            return 2 * len(truth & found) / (len(truth) + len(found))

        surest: dict[str, float] = {}
        for row in self._given.select(["observation_id", "score"]).to_pylist():
            surest[row["observation_id"]] = max(row["score"], surest.get(row["observation_id"], row["score"]))
        # Of those that are equally wrong first the one that the model was surest of.
        return sorted(self._truth, key=lambda one: (f1(one), -surest.get(one, 0.0), one))

    def _confusions(self) -> dict[tuple[str, str], int]:
        """Return how often each species was answered as each, where an observation holds one."""
        if self._decision.species != ONE:
            return {}
        return Counter(
            (truth[0], self._found[observation][0])
            for observation, truth in self._truth.items()
            if observation in self._found
        )

    def _reliability(self) -> Figure:
        rows = [row for row in self._given.to_pylist() if row["observation_id"] in self._truth]
        sure = np.clip(np.array([row["score"] for row in rows], dtype=np.float64), 0, 1)
        is_right = np.array([row["species_id"] in self._truth[row["observation_id"]] for row in rows], dtype=np.bool_)
        drawn = evaluation_figures.draw_answer_reliability(
            calibration.reliability(sure, is_right),
            calibration.expected_calibration_error(sure, is_right),
            "how sure, how often right",
            self._folder / "reliability.png",
        )
        return Figure("Calibration", "Whether 0.9 is right nine times in ten.", drawn.read_bytes())

    def _name(self, species_id: str) -> str:
        return self._names.get(species_id, species_id)


def _headline(scored: Evaluation, has_transects: bool) -> list[Score]:
    return [
        Score(metric, value, *scored.range_of(metric), scored.chance.get(metric))
        for metric, value in scored.metrics.items()
        # Where each quadrat is a transect of its own it says again what the mean over observations says.
        if has_transects or metric != "macro_f1_per_transect"
    ]


def _facts(version: "Version", decision: Decision, rule: DecisionRule, scored: Evaluation) -> list[tuple[str, str]]:
    read = ", ".join(map(str, scored.snapshots))
    return [
        ("model", f"{version.model_version} (MLflow run {version.run_id})"),
        ("data set", f"{decision.scope.dataset}, {_side(decision)}"),
        ("observations", f"{scored.observation_count:,} scored of {decision.scope.observations.num_rows:,} answered"),
        ("decision rule", json.dumps(rule.spec, ensure_ascii=False)),
        ("decision", decision.decision_id),
        ("evaluation", scored.evaluation_id),
        ("metrics", scored.metric_version),
        ("tables read", read),
    ]


def _side(decision: Decision) -> str:
    side = decision.scope.split
    return "all that is labelled" if side == "all" else f"the {side} split"


def _by_observation(rows: pa.Table) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for observation, species in zip(rows["observation_id"].to_pylist(), rows["species_id"].to_pylist(), strict=True):
        found.setdefault(observation, []).append(species)
    return found


def _photograph(place: Settings, dataset: str, observation: str) -> bytes:
    """Return the first photograph of an observation, small, and without what cameras write beside it."""
    from modeling.preprocess import decode

    records, images = tables.latest(place.lake, "image_records", "images")
    row: Mapping[str, Any] = query.answer(
        place.lake,
        "decide/photographs_of_observation",
        [records],
        dataset=dataset,
        observation_id=observation,
    ).to_pylist()[0]
    image = decode(images_of(place.lake, images, [row["image_id"]])[row["image_id"]]).convert("RGB")
    image.thumbnail((_PICTURE_PX, _PICTURE_PX))
    small = BytesIO()
    image.save(small, "JPEG", quality=85)
    return small.getvalue()
