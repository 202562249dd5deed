"""What a station costs: a season through its servers, against the same stages called as plain functions.

    python tests/benchmarks/station.py [--species 12] [--at FOLDER]

Half of the real seedlings make a champion; then the other half comes: it is taken in, embedded, learnt from and judged,
and old answers are renewed. Once by plain functions in one process that has imported all, and once by deployments
of a station, each a process of its own; of those counts what lies between the beginning and the end of the flow run, so
without starting a process. The seedlings lie in TAXALAKE_SHARED (default ../shared).
"""

import argparse
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
PLAIN = """
import sys, time
from pathlib import Path
from flows.watch import watch
from flows.retrain import retrain
import torch, transformers, pytorch_lightning, mlflow, matplotlib.pyplot
from modeling import registry, training, embedding
home, dataset = Path(sys.argv[1]), sys.argv[2]
for name, stage, said in (("watch", watch, {}), ("retrain", retrain, {"dataset": dataset})):
    started = time.monotonic()
    stage.fn(home=home, **said)
    print(name, time.monotonic() - started)
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
    done = subprocess.run([sys.executable, "-c", PLAIN, str(home), DATASET], check=True, capture_output=True, text=True)
    return {name: float(seconds) for name, seconds in (line.split() for line in done.stdout.splitlines())}


def through_station(folder: Path) -> dict[str, float]:
    """Return the seconds of the same stages as flow runs of a station."""
    # Nothing may run by itself while it is measured.
    with served(folder, "--watch-seconds", "86400", TAXALAKE_QUIET_SECONDS="3600") as station:
        found = {}
        for name, said in (("watch", {}), ("retrain", {"dataset": DATASET})):
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
    asked.add_argument("--at", type=Path)
    given = asked.parse_args()
    shared = Path(os.environ.get("TAXALAKE_SHARED", Path(__file__).parents[3] / "shared")).resolve() / "data"
    with tempfile.TemporaryDirectory(dir=given.at) as folder:
        seconds = {}
        for kind in ("plain", "station"):
            place = Path(folder) / kind
            season = of_seedlings(shared, place / "watched", given.species)
            begin(season, place / "home", shared / "vit-tiny-dinov2")
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
