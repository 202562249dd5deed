"""A season at a station with real photographs: they are dropped into a folder, and nobody is at the keyboard."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from homes import content, differences
from postgres import cluster
from season import MODEL, Season, begin, of_seedlings, registry_of
from served import Served, left, served

from flows import databases
from modeling.registry import CHAMPION, PREVIOUS_CHAMPION

# A species has so many photographs in the first half, and in all: (to learn from, to judge by).
FEW, MANY = (4, 5), (24, 10)
HALF, ALL = (30, 10), (60, 20)
WITHIN = 500  # seconds that anything may take on a machine that others use too
KILLS = 10
ASK = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/seedlings@champion")
best = model.predict(sys.argv[2:], params={"species": "one"})
print(mlflow.MlflowClient().get_model_version_by_alias("seedlings", "champion").version)
print(*best[best["rank"] == 1].sort_values("image")["species_id"])
"""


def at_work(home: Path):
    """Run the station of a home, with eyes open for what comes."""
    return served(home.parent, "--watch-seconds", "15", TAXALAKE_QUIET_SECONDS="10")


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


def verdicts(home: Path) -> list[tuple[str, str, str]]:
    rows = [row for row in content(home, "retrain_decisions") if row["challenger"] is not None]
    return sorted((row["challenger"], row["decision"], row["reason"]) for row in rows)


def settled(home: Path, count: int) -> bool:
    """Say whether so many versions are judged, what was begun is done, and every answer was renewed."""
    registry = registry_of(home)
    found = registry.versions(MODEL)
    if len(found) < count or "verdict" not in found[-1].tags:
        return False
    steps = [row["step"] for row in content(home, "promotions")]
    champion = registry.holder(MODEL, CHAMPION)
    answered = [
        row["observation_count"]
        for row in content(home, "decisions")
        if row["split"] == "all" and row["model_version"] == champion.recorded_as
    ]
    observations = {row["observation_id"] for row in content(home, "image_records")}
    return steps.count("intended") == steps.count("done") and len(observations) in answered


def until_settled(station: Served, home: Path, count: int, meanwhile=lambda: time.sleep(1)) -> None:
    deadline = time.monotonic() + WITHIN
    while not settled(home, count):
        assert time.monotonic() < deadline, f"version {count} has not been judged; {station.said}"
        meanwhile()


def mixed_up_labels_are_refused(station: Served, season: Season, home: Path) -> None:
    """Have each species go by the name of another one, and see that the champion stays."""
    champion = registry_of(home).holder(MODEL, CHAMPION).model_version
    count = len(registry_of(home).versions(MODEL)) + 1
    season.drop(*ALL, calls=season.turned)
    until_settled(station, home, count)
    *_, (challenger, decision, reason) = verdicts(home)
    assert (challenger, decision) == (f"{MODEL}/{count}", "refused")
    assert "labels have changed their species since" in reason
    assert registry_of(home).holder(MODEL, CHAMPION).model_version == champion


@pytest.mark.timeout(900)
def test_what_is_dropped_into_a_folder_becomes_a_better_champion(shared, tmp_path):
    a_better_champion_comes(shared, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_postgresql_it_becomes_one_too(shared, tmp_path, monkeypatch):
    with cluster() as address:
        databases.make(address)
        monkeypatch.setenv("TAXALAKE_POSTGRES", address)
        a_better_champion_comes(shared, tmp_path)
        assert not (tmp_path / "home" / "mlflow.db").exists()
        assert not (tmp_path / "home" / "prefect" / "prefect.db").exists()


def a_better_champion_comes(shared, tmp_path):
    season = of_seedlings(shared, tmp_path / "watched", 4)
    home = begin(season, shared, tmp_path / "home", FEW)
    names = sorted(season.rows)
    shown = [season.folder / season.rows[name][0]["image"] for name in names]
    with at_work(home) as station:
        season.drop(*MANY)
        until_settled(station, home, 2)
        number, *species = asked(station, *shown)
    images = content(home, "image_records")
    assert len(images) == len(names) * sum(MANY)
    assert {row["image_id"] for row in content(home, "embeddings")} == {row["image_id"] for row in images}
    ((challenger, decision, reason),) = verdicts(home)
    assert (challenger, decision, number) == ("seedlings/2", "promoted", "2"), reason
    assert sum(one == name for one, name in zip(species, names, strict=True)) >= len(names) - 1
    assert registry_of(home).holder(MODEL, PREVIOUS_CHAMPION).number == 1


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_whole_season_with_programs_killed_on_the_way_ends_as_one_that_was_left_alone(shared, tmp_path):
    """Server, pages of MLflow, worker and flow runs are killed at random moments."""
    chance = random.Random(0)
    killed: list[str] = []

    def kill() -> None:
        time.sleep(chance.uniform(3, 15))
        if len(killed) == KILLS:
            return
        program = chance.choice(["flows.prefect_server", "mlflow", "worker start", "prefect.engine"])
        found = [pid for pid, line in left(disturbed).items() if program in line]
        if found:
            os.kill(chance.choice(found), signal.SIGKILL)
            killed.append(program)

    homes = []
    for name in ("alone", "disturbed"):
        season = of_seedlings(shared, tmp_path / name / "watched", 12)
        homes.append(begin(season, shared, tmp_path / name / "home", HALF))
        disturbed = homes[-1]
        with at_work(homes[-1]) as station:
            season.drop(*ALL)
            until_settled(station, homes[-1], 2, kill if name == "disturbed" else lambda: time.sleep(1))
            while name == "disturbed" and len(killed) < KILLS:
                kill()
            mixed_up_labels_are_refused(station, season, homes[-1])
    assert len(killed) == KILLS
    # A run that was killed may leave a version between them that nobody has asked for; who is champion is the same.
    ended = []
    for home in homes:
        *_, last = registry_of(home).versions(MODEL)
        champion = registry_of(home).holder(MODEL, CHAMPION)
        ended.append((champion.tags["training_key"], last.tags["training_key"], last.tags["verdict"]))
    assert ended[0] == ended[1], killed
    assert not differences(homes[1], homes[0], "images", "splits")
    vectors = [
        sorted((row["embedding_key"], row["image_id"], row["scheme_id"]) for row in content(home, "embeddings"))
        for home in homes
    ]
    assert vectors[0] == vectors[1]
