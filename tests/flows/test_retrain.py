"""A challenger takes the champion's place when it is better, and only then."""

import csv
import random

import pytest
from homes import content

from flows.embed import embed
from flows.evaluate import evaluate
from flows.ingest import ingest_table
from flows.retrain import retrain
from flows.train import train
from modeling.registry import Registry

COLUMNS = ("image", "species_id", "observation", "split", "scientific_name")


def take_in(home, flora, rows, path):
    """Take in some rows of a flora's table, as a table of its own."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    ingest_table.fn(path, "plants", *COLUMNS, root=flora.folder, home=home)


def rows_of(flora):
    with flora.plants_csv.open() as file:
        return list(csv.DictReader(file))


def champion(home):
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts").find("flora@champion")


@pytest.fixture
def poor(home, flora, backbone, tmp_path):
    """A home whose champion has learnt from labels of which most are wrong; the test split is right."""
    rows = rows_of(flora)
    shuffled = random.Random(0)
    species = sorted({row["species_id"] for row in rows})
    wrong = {row["observation"]: shuffled.choice(species) for row in rows if row["split"] == "train"}
    take_in(
        home,
        flora,
        [{**row, "species_id": wrong.get(row["observation"], row["species_id"])} for row in rows],
        tmp_path / "poor.csv",
    )
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home)
    assert champion(home).number == 1
    return home


def test_the_first_version_is_champion_and_a_better_one_takes_its_place(poor, flora, tmp_path):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    report = retrain.fn("plants", "flora", home=poor)
    assert report.decision == "promoted"
    assert report.scores["flora/2"]["macro_f1"] > report.scores["flora/1"]["macro_f1"]
    assert champion(poor).number == 2
    assert [row["decision"] for row in content(poor, "retrain_decisions")] == ["promoted"]

    again = retrain.fn("plants", "flora", home=poor)
    assert (again.decision, again.committed) == ("nothing new", False)
    assert len(content(poor, "retrain_decisions")) == 1


def test_a_worse_challenger_is_refused_with_the_reason(home, flora, backbone, tmp_path):
    rows = rows_of(flora)
    take_in(home, flora, rows, tmp_path / "right.csv")
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home)
    species = sorted({row["species_id"] for row in rows})
    turned = dict(zip(species, species[1:] + species[:1], strict=True))
    poisoned = [
        {**row, "species_id": turned[row["species_id"]] if row["split"] == "train" else row["species_id"]}
        for row in rows
    ]
    take_in(home, flora, poisoned, tmp_path / "poisoned.csv")
    report = retrain.fn("plants", "flora", home=home)
    assert report.decision == "refused"
    assert "asked for is +0.0050" in report.reason
    assert champion(home).number == 1
    assert evaluate.fn("plants", "flora@challenger", home=home).model_version == "flora/2"
    again = retrain.fn("plants", "flora", home=home)
    assert again.decision == "nothing new"
    assert "refused" in again.reason


def test_a_retrain_that_died_before_its_verdict_is_judged_by_the_next(poor, flora, tmp_path):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    # As a run leaves it that was killed after the registration: a version that nobody has judged.
    assert train.fn("plants", "flora", home=poor).model_version == "flora/2"
    assert champion(poor).number == 1
    assert retrain.fn("plants", "flora", home=poor).decision == "promoted"
    assert champion(poor).number == 2


def test_champion_and_challenger_are_scored_on_the_same_observations(poor, flora, tmp_path, monkeypatch):
    take_in(poor, flora, [{**row, "split": "train"} for row in rows_of(flora)], tmp_path / "again.csv")
    monkeypatch.setenv("TAXALAKE_SEED", "3")
    retrain.fn("plants", "flora", home=poor)
    scores = [row for row in content(poor, "evaluations") if row["slice"] == "all"]
    scored = [row for row in scores if row["metric"] == "macro_f1"]
    assert len(scored) == 2
    decided = {row["decision_id"]: row["model_version"] for row in content(poor, "decisions")}
    observations = {
        decided[decision]: {
            row["observation_id"] for row in content(poor, "observation_predictions") if row["decision_id"] == decision
        }
        for decision in {row["decision_id"] for row in scored}
    }
    first, second = observations.values()
    assert first == second
