"""The page of a place says what its tables and its registry say."""

import re
from datetime import UTC, datetime

import mlflow
import pyarrow as pa
import pytest
from coloured import new_home, rows, take_in
from homes import versions

from flows import train_judgement
from flows.embed import embed
from flows.evaluate import evaluate
from flows.station_report import station_report
from flows.train import train
from lake import tables
from lake.schemas import TABLES
from lake.tables import Lake

PLANTS = [*rows("10", 6, side=""), *rows("2", 6, side=""), *rows("9", 6, side="")]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_home, backbone):
    home = new_home(empty_home, tmp_path_factory.mktemp("reported") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_judgement, "draw", lambda *_: [])
        take_in(home, PLANTS)
        embed.fn("d", backbone, home=home)
        train.fn("d", "m", home=home, recipe={"head": "nearest"})
        evaluate.fn("d", "m", home=home)
    return home


def words(home) -> str:
    text = (home / "reports" / "station.html").read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.partition("<body>")[2]))


def test_the_page_shows_models_with_scores_data_sets_costs_and_room(home):
    before = versions(home)
    report = station_report.fn(home)
    seen = words(home)
    assert (report.photographs, report.models, report.pending) == (18, 1, 0)
    assert "m/1 champion d 3" in seen
    assert re.search(r"[01]\.\d{3} \[[01]\.\d{3}–[01]\.\d{3}\] \(macro_f1, the \w+ side of d\)", seen)
    for stage in ("embed", "evaluate", "ingest", "train"):
        assert re.search(rf" {stage} 1 \d", seen)
    assert "embeddings 1" in seen
    assert versions(home) == before
    figures = sorted(file.name for file in (home / "figures").glob("station-*.png"))
    assert figures == ["station-costs.png", "station-growth.png", "station-scores-1.png"]


def test_what_was_decided_is_told_and_a_hostile_name_stays_text(home):
    row = {"retrain_id": "r", "flow_run_id": "f", "dataset": "d", "model": "m", "decision": "refused"}
    row |= {"reason": f"worse on {HOSTILE}", "challenger": "m/2", "decided_at": datetime.now(UTC)}
    empty = {field.name: "" for field in TABLES["retrain_decisions"].columns if not field.nullable}
    rows = pa.Table.from_pylist([empty | row], schema=TABLES["retrain_decisions"].columns)
    tables.append(Lake(str(home / "lake")), "retrain_decisions", rows)
    station_report.fn(home)
    text = (home / "reports" / "station.html").read_text()
    assert "refused" in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_a_model_without_a_champion_is_warned_of(home):
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    client.delete_registered_model_alias("m", "champion")
    # Whether the disk of this machine is nearly full is not what it is about.
    (warning,) = (one for one in station_report.fn(home).warnings if "disk" not in one)
    client.set_registered_model_alias("m", "champion", "1")
    assert "without a champion" in warning
    assert warning in words(home)


def test_a_place_without_tables_gets_no_page_and_no_tables(tmp_path):
    report = station_report.fn(tmp_path / "nothing")
    assert report.lines() == ["there are no tables yet: nothing to show"]
    assert not (tmp_path / "nothing" / "lake").exists()
