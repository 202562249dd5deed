"""A season at a station with real photographs: they are dropped into a folder, and nobody is at the keyboard."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import REPOSITORY, content
from season import Season, of_seedlings
from served import Served, served

from modeling.registry import CHAMPION, PREVIOUS_CHAMPION, Registry

# A species has so many photographs in the first half, and in all: (to learn from, to judge by).
FEW, MANY = (4, 5), (24, 10)
SPECIES = 6
WITHIN = 400  # seconds that anything may take on a machine that others use too
ASK = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/seedlings@champion")
best = model.predict(sys.argv[2:], params={"species": "one"})
print(mlflow.MlflowClient().get_model_version_by_alias("seedlings", "champion").version)
print(*best[best["rank"] == 1].sort_values("image")["species_id"])
"""


@pytest.fixture
def season(shared, tmp_path) -> Season:
    return of_seedlings(shared, tmp_path / "watched", SPECIES)


@pytest.fixture
def begun(season, shared, tmp_path) -> Path:
    """A home with a champion that has learnt from the first photographs."""
    season.drop(*FEW)
    home = tmp_path / "home"
    commanded(home, *season.ingest)
    commanded(home, "embed", "--dataset", "seedlings", "--backbone", shared / "vit-tiny-dinov2")
    commanded(home, "train", "--dataset", "seedlings", "--name", "seedlings")
    commanded(home, "predict", "--dataset", "seedlings", "--model", "seedlings")
    return home


def commanded(home: Path, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, words), "--home", str(home)],
        env={name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(station: Served, *photographs: Path) -> list[str]:
    """What another program gets from the registry: the champion's number, and the species of photographs."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, station.mlflow, *map(str, photographs)],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=True,
    )
    number, species = done.stdout.splitlines()
    return [number, *species.split()]


def verdicts(home: Path) -> list[tuple[str, str | None, str]]:
    rows = [row for row in content(home, "retrain_decisions") if row["challenger"] is not None]
    return sorted((row["challenger"], row["decision"], row["reason"]) for row in rows)


def until(condition, what: str, station: Served) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come about; {station.said}"
        time.sleep(1)


def settled(home: Path, count: int) -> bool:
    """Say whether so many versions are judged, what was begun is done, and every answer was renewed."""
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}")
    found = registry.versions("seedlings")
    if len(found) != count or "verdict" not in found[-1].tags:
        return False
    steps = [row["step"] for row in content(home, "promotions")]
    champion = registry.holder("seedlings", CHAMPION)
    answered = [
        row["observation_count"]
        for row in content(home, "decisions")
        if row["split"] == "all" and row["model_version"] == champion.recorded_as
    ]
    observations = {row["observation_id"] for row in content(home, "image_records")}
    return steps.count("intended") == steps.count("done") and len(observations) in answered


@pytest.fixture
def station(begun, tmp_path) -> Iterator[Served]:
    with served(tmp_path, "--watch-seconds", "5", TAXALAKE_QUIET_SECONDS="10") as running:
        yield running


def test_what_is_dropped_into_a_folder_becomes_a_better_champion_and_mixed_up_labels_become_none(
    season, begun, station
):
    names = sorted(season.rows)
    shown = [season.folder / season.rows[name][0]["image"] for name in names]
    assert asked(station, shown[0])[0] == "1"
    season.drop(*MANY)
    until(lambda: settled(begun, 2), "a second version that was judged", station)
    images = content(begun, "image_records")
    assert len(images) == SPECIES * sum(MANY)
    assert {row["image_id"] for row in content(begun, "embeddings")} == {row["image_id"] for row in images}
    ((challenger, decision, reason),) = verdicts(begun)
    assert (challenger, decision) == ("seedlings/2", "promoted"), reason
    number, *species = asked(station, *shown)
    assert number == "2"
    assert sum(one == name for one, name in zip(species, names, strict=True)) >= len(names) - 1
    registry = Registry(f"sqlite:///{begun / 'mlflow.db'}")
    assert registry.holder("seedlings", PREVIOUS_CHAMPION).number == 1

    season.drop(*MANY, calls=season.turned)
    until(lambda: settled(begun, 3), "a third version that was judged", station)
    assert verdicts(begun)[-1][:2] == ("seedlings/3", "refused")
    assert "labels have changed their species since" in verdicts(begun)[-1][2]
    assert asked(station, shown[0])[0] == "2"
