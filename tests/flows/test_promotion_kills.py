"""Whatever is killed at whatever step of a promotion: it is carried out, once, and the champion answers."""

import json
import time
from pathlib import Path

import httpx
import pytest
from homes import content
from season import MODEL, begin, of_seedlings, registry_of
from served import Served, left, served

from flows.train import train
from lake import retraining
from lake.tables import Lake
from modeling.registry import CHAMPION, PREVIOUS_CHAMPION

STEPS = ("intend", "tag", "set_alias previous", "set_alias champion", "conclude")
PROGRAMS = ("flows.prefect_server", "mlflow", "worker start", "prefect.engine")


def begun(station: Served, version: int) -> str:
    """Begin a promotion as soon as the server answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return station.begin("promote/station", model=f"{MODEL}/{version}")
        except httpx.HTTPError:
            assert time.monotonic() < deadline, station.said
            time.sleep(1)


def ended(station: Served, run: str) -> str:
    """Wait for the end of a run, whatever happens to the server."""
    deadline = time.monotonic() + 600
    while True:
        try:
            return station.ended(run, within=600)["state_type"]
        except httpx.HTTPError:
            assert time.monotonic() < deadline, station.said
            time.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_kill_at_any_step_of_a_promotion_changes_nothing_in_the_end(shared, tmp_path):
    season = of_seedlings(shared, tmp_path / "watched", 4)
    home = begin(season, shared, tmp_path / "home", (4, 5))
    train.fn("seedlings", MODEL, home=home, recipe={"head": "discriminant", "seed": 1})
    order = tmp_path / "order.json"
    killers = str(Path(__file__).parent / "killers")
    variables = {"PROMOTION_KILLER": str(order), "PYTHONPATH": killers, "TAXALAKE_QUIET_SECONDS": "3600"}
    promoted = 0
    with served(tmp_path, "--watch-seconds", "86400", **variables) as station:
        # Programs take turns: one that ends again and again within a minute ends the station.
        for step, what in enumerate(STEPS):
            for program in PROGRAMS:
                version = 2 if promoted % 2 == 0 else 1
                victim = 0 if program == "prefect.engine" else _pid_of(station, program)
                order.write_text(json.dumps({"step": step, "pid": victim}))
                first = ended(station, begun(station, version))
                assert not order.exists(), f"{program} was not killed at {what}"
                if first != "COMPLETED":
                    assert ended(station, begun(station, version)) == "COMPLETED", f"{program} at {what}"
                promoted += 1
                _is_as_undisturbed(home, version, promoted, f"{program} at {what}: {first}")


def _pid_of(station: Served, program: str) -> int:
    """The process of a program that has just been begun again, perhaps."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return station.pid_of(program)
        except ValueError:
            assert time.monotonic() < deadline, left(station.home)
            time.sleep(1)


def _is_as_undisturbed(home: Path, version: int, promoted: int, case: str) -> None:
    registry = registry_of(home)
    assert registry.holder(MODEL, CHAMPION).number == version, case
    assert registry.holder(MODEL, PREVIOUS_CHAMPION).number == 3 - version, case
    assert registry.find(MODEL).tags["verdict"] == "promoted", case
    steps = [row["step"] for row in content(home, "promotions")]
    assert (steps.count("intended"), steps.count("done")) == (promoted, promoted), case
    assert not retraining.renewals(Lake(str(home / "lake")), MODEL, registry.find(MODEL).recorded_as), case
