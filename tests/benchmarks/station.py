"""What a station costs: a season through its servers, against the same stages called as plain functions.

    python tests/benchmarks/station.py [--species 12] [--backbone FOLDER] [--at FOLDER]

Half of the real seedlings make a champion; then the other half comes: it is taken in, embedded, learnt from and judged,
and old answers are renewed. Once by plain functions and once by deployments of a station. Either way each stage is a
process of its own, and what counts is the time from the stage's beginning to its end: starting Python and importing the
flows is left aside on both sides, and what a stage imports while it works counts on both. The seedlings and the small
network that is used by default lie in TAXALAKE_SHARED (default ../shared); the larger the network, the smaller is the
station's part of the time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

# Stations and seasons of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))

from season import DATASET, MODEL, Season, of_seedlings
from served import served

HALF, ALL = (30, 10), (60, 20)
STAGES: dict[str, dict[str, str]] = {"watch": {}, "retrain": {"dataset": DATASET}}
PLAIN = """
import importlib, json, sys, time
from pathlib import Path
home, name, said = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
stage = getattr(importlib.import_module(f"flows.{name}"), name)
started = time.monotonic()
stage.fn(home=home, **said)
print(time.monotonic() - started)
"""


def told(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def begin(season: Season, home: Path, backbone: Path) -> None:
    """Make a champion of the first half, and have it answer."""
    season.drop(*HALF)
    for words in (
        season.ingest,
        ["embed", "--dataset", DATASET, "--backbone", str(backbone)],
        ["train", "--dataset", DATASET, "--name", MODEL],
        ["predict", "--dataset", DATASET, "--model", MODEL],
    ):
        subprocess.run(
            [sys.executable, "-m", "flows.cli", *words, "--home", str(home)], check=True, stdout=subprocess.DEVNULL
        )


def plain(home: Path) -> dict[str, float]:
    """Return the seconds of the stages as plain functions."""
    found = {}
    for name, said in STAGES.items():
        words = [sys.executable, "-c", PLAIN, str(home), name, json.dumps(said)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[name] = float(done.stdout.splitlines()[-1])
    return found


def through_station(folder: Path) -> dict[str, float]:
    """Return the seconds of the same stages as flow runs of a station."""
    # Nothing may run by itself while it is measured.
    with served(folder, "--watch-seconds", "86400", TAXALAKE_QUIET_SECONDS="3600") as station:
        found = {}
        for name, said in STAGES.items():
            run = station.ended(station.begin(f"{name}/station", **said), within=3600)
            if run["state_type"] != "COMPLETED":
                raise SystemExit(f"{name} is {run['state_name']}: {run['state']['message']}")
            times = [datetime.fromisoformat(run[key]) for key in ("start_time", "end_time")]
            found[name] = (times[1] - times[0]).total_seconds()
        return found


def main() -> None:
    """Measure, and print the ratio."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--species", type=int, default=12)
    asked.add_argument("--backbone", type=Path)
    asked.add_argument("--at", type=Path)
    given = asked.parse_args()
    shared = Path(os.environ.get("TAXALAKE_SHARED", Path(__file__).parents[3] / "shared")).resolve() / "data"
    with tempfile.TemporaryDirectory(dir=given.at) as folder:
        seconds = {}
        for kind in ("plain", "station"):
            place = Path(folder) / kind
            season = of_seedlings(shared, place / "watched", given.species)
            begin(season, place / "home", given.backbone or shared / "vit-tiny-dinov2")
            count = season.drop(*ALL)
            started = time.monotonic()
            seconds[kind] = plain(place / "home") if kind == "plain" else through_station(place)
            words = ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds[kind].items())
            told(f"{kind}: {words}; with start-up {time.monotonic() - started:.1f} s; {count} photographs in the end")
            shutil.rmtree(place)
        ratio = sum(seconds["station"].values()) / sum(seconds["plain"].values())
        told(f"station / plain functions: {ratio:.3f}")


if __name__ == "__main__":
    main()
