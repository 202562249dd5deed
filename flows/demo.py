"""Everything at once on a flora that is drawn on the spot: no network, no data, no weights."""

import shutil
import sys
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.embed import embed
from flows.evaluate import EvaluateReport, evaluate
from flows.ingest import ingest_table
from flows.orchestration import progress, run_subflow, say
from flows.predict import predict
from flows.train import train
from lake import decisions
from lake.sources.synthetic import Drawn, Flora, draw

MODEL = "flora"
TILING = "grid-4x4"
FIRST = "Q01"  # the quadrat of the picture
UNTRAINED = (
    "This backbone has not been trained: its weights are random, from a fixed seed. "
    "It tells drawn plants apart, not real ones. For real photographs say --backbone facebook/dinov2-base."
)


class DemoReport(BaseModel):
    """What the demo found, and where to look next."""

    home: str
    plants: EvaluateReport
    quadrats: EvaluateReport
    picture: str

    def lines(self) -> list[str]:
        """The report for people."""
        # Where the environment is not activated, its commands are not on the path.
        bin_ = "" if shutil.which("taxalake") else f"{Path(sys.executable).parent}/"
        return [
            "",
            UNTRAINED,
            "",
            f"{'':34}{'score':>8}{'chance':>8}",
            *_scores("single plants", self.plants, ("accuracy", "top5_accuracy", "macro_f1")),
            *_scores("quadrats", self.quadrats, ("macro_f1_per_observation", "micro_f1")),
            "",
            f"the picture    {self.picture}",
            *([f"the reports    {Path(self.quadrats.page).parent}"] if self.quadrats.page else []),
            f"the tables     {bin_}taxalake status --home {self.home}",
            f'any question   {bin_}taxalake sql --home {self.home} "select metric, value from evaluations"',
            f"the flow runs  PREFECT_HOME={self.home}/prefect {bin_}prefect server start",
            f"the models     {bin_}mlflow ui --backend-store-uri sqlite:///{self.home}/mlflow.db",
        ]


@flow(name="demo")
def demo(home: Path | None = None) -> DemoReport:
    """Draw a small flora and run every stage on it.

    Args:
        home: The place's home.
    """
    place = settings.load(home=home)
    folder = place.home.resolve() / "flora"
    drawn = _draw(folder)
    backbone = str(_backbone(place))
    say(UNTRAINED)
    run_subflow(
        ingest_table,
        drawn.plants_csv,
        "plants",
        "image",
        "species_id",
        "observation",
        "split",
        "scientific_name",
        home=place.home,
    )
    run_subflow(
        ingest_table,
        drawn.quadrats_csv,
        "quadrats",
        "image",
        "species_ids",
        "quadrat",
        species_separator="|",
        home=place.home,
    )
    run_subflow(embed, "plants", backbone, "whole", home=place.home)
    run_subflow(train, "plants", MODEL, home=place.home)
    plants = run_subflow(evaluate, "plants", MODEL, home=place.home)
    run_subflow(predict, "quadrats", MODEL, TILING, home=place.home)
    quadrats = run_subflow(evaluate, "quadrats", MODEL, TILING, home=place.home)
    picture = _picture(place, quadrats)
    return DemoReport(home=str(place.home.resolve()), plants=plants, quadrats=quadrats, picture=str(picture))


def _draw(folder: Path) -> Drawn:
    flora = Flora()
    with progress("draw a flora", flora.picture_count, "pictures") as advance:
        return draw(flora, folder, advance)


def _backbone(place: settings.Settings) -> Path:
    from modeling.backbones import save_untrained

    return save_untrained(place.home.resolve() / "backbones" / "untrained")


def _picture(place: settings.Settings, scored: EvaluateReport) -> Path:
    """Draw the first quadrat with its tiles and what was found in it."""
    from modeling.evaluation_figures import NamedTile, draw_quadrat
    from modeling.registry import Registry

    version = Registry(place.registry_uri, place.artifacts).find(scored.model_version)
    shown = decisions.illustrate(
        place.lake,
        scored.dataset,
        scored.decision_id,
        FIRST,
        version.tags["embedding_key"],
        decisions.parts_of(TILING),
        version.recorded_as,
    )
    return draw_quadrat(
        shown.content,
        [NamedTile(**tile) for tile in shown.tiles],
        shown.found,
        shown.truth,
        f"{shown.image_name}: tiles and the species found, by {scored.model_version}",
        place.figures / "quadrat.png",
    )


def _scores(title: str, report: EvaluateReport, metrics: tuple[str, ...]) -> list[str]:
    lines = [f"{title}, {report.observations} observations ({report.split})"]
    for metric in metrics:
        chance = f"{report.chance[metric]:8.3f}" if metric in report.chance else ""
        lines.append(f"  {metric:32}{report.metrics[metric]:8.3f}{chance}")
    return lines
