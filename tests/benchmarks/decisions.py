"""Decisions on drawn tile predictions: pooling, thresholds and a sweep, against the same pooling in Polars and pandas.

    python tests/benchmarks/decisions.py [--quadrats 2105] [--parts pooling,sweep,growth] [--at FOLDER]

PlantCLEF 2025 in size: 2,105 quadrats of 91 tiles with 20 species each are 3.83 million rows. Every measurement is a
process of its own; the first run of each is thrown away.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lake import decisions, labels, query, sweeps, tables
from lake.decisions import Part
from lake.rules import DecisionRule
from lake.schemas import TABLES
from lake.tables import Lake

SPECIES, TILES, STORED, TRUE = 7806, 91, 20, 8
SCHEME, MODEL = "pyramid-518-6..1", "drawn/1:run"
LEVELS = range(6, 0, -1)
AT_ONCE = 200  # quadrats in one commit
REPEATS = 5


def told(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def draw(lake: Lake, quadrats: int) -> None:
    """Write predictions and labels: of each tile one of its quadrat's species is first in half of the tiles."""
    tables.create_missing(lake)
    random = np.random.default_rng(0)
    names = np.array(sorted(map(str, random.choice(400_000, SPECIES, replace=False) + 1_355_868)), dtype=object)
    shares = 1 / np.arange(1, SPECIES + 1) ** 0.8
    shares /= shares.sum()
    ranked = random.permutation(SPECIES)
    ids = [f"CBN-A{number // 12}-2013{number % 12 + 1:02d}07" for number in range(quadrats)]
    images = np.array([hashlib.sha256(name.encode()).hexdigest() for name in ids], dtype=object)
    append(
        lake,
        "image_records",
        quadrats,
        dataset="quadrats",
        image_name=ids,
        image_id=images,
        observation_id=ids,
        base_quadrat=[name.rsplit("-", 1)[0] for name in ids],
        transect=[f"t{number % 13}" for number in range(quadrats)],
        observed_on=[date(2013, number % 12 + 1, 7) for number in range(quadrats)],
        source_uri="drawn",
    )
    truth: list[tuple[str, str]] = []
    for start in range(0, quadrats, AT_ONCE):
        count = min(AT_ONCE, quadrats - start)
        true = ranked[random.choice(SPECIES, (count, TRUE), p=shares)]
        truth += {(ids[start + row], names[species]) for row in range(count) for species in true[row]}
        species = ranked[random.choice(SPECIES, (count, TILES, STORED), p=shares)]
        of_quadrat = np.take_along_axis(true, random.integers(0, TRUE, (count, TILES)), axis=1)
        species[..., 0] = np.where(random.random((count, TILES)) < 0.5, of_quadrat, species[..., 0])
        probability = np.sort(random.dirichlet(np.full(STORED, 0.3), (count, TILES)), axis=2)[..., ::-1].reshape(-1)
        tile = np.repeat(np.arange(count * TILES), STORED)
        _, first = np.unique(tile * SPECIES + species.reshape(-1), return_index=True)
        kept = np.sort(first)  # a species is stored once for a tile
        append(
            lake,
            "tile_predictions",
            len(kept),
            model_version=MODEL,
            image_id=np.repeat(images[start : start + count], TILES * STORED)[kept],
            scheme_id=SCHEME,
            tile_index=(tile % TILES)[kept],
            rank=np.tile(np.arange(1, STORED + 1), count * TILES)[kept],
            species_id=names[species.reshape(-1)[kept]],
            logit=np.log(probability[kept] + 1e-9),
            probability=probability[kept],
            class_map_id="drawn",
        )
    append(
        lake,
        "labels",
        len(truth),
        dataset="quadrats",
        observation_id=[quadrat for quadrat, _ in truth],
        species_id=[name for _, name in truth],
        source="drawn",
        status="given",
    )


def append(lake: Lake, table: str, count: int, **given: Any) -> None:
    """Append drawn rows; a text stands in every row."""
    schema = TABLES[table].columns
    now = datetime.now(UTC)
    usual = {"flow_run_id": "drawn", "ingested_at": now, "predicted_at": now, "labelled_at": now}
    columns = {}
    for field in schema:
        value = given.get(field.name, usual.get(field.name))
        alike = value is None or isinstance(value, str | datetime)
        columns[field.name] = pa.repeat(pa.scalar(value, field.type), count) if alike else pa.array(value, field.type)
    (planned_on,) = tables.latest(lake, table)
    tables.append(lake, table, pa.table(columns, schema=schema), planned_on)


def fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some runs, the first one left out."""
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def pooling(lake: Lake) -> dict[str, float]:
    """Pool all tiles to scores of quadrats by their mean, and find the threshold of four species in the mean."""
    rule = DecisionRule("many", pooling="mean", mean_species=4)
    scope = decisions.whole_scope(lake, "quadrats")
    frames = {"scope": scope.observations, "parts": decisions.as_frame(decisions.parts_of(SCHEME))}
    with query.session(lake, tables.latest(lake, "image_records", "tile_predictions"), frames) as ask:
        pooled = fastest(lambda: decisions.pool(ask, "quadrats", MODEL, rule))
        params = {"mean_species": 4, "observation_count": scope.observations.num_rows, "min_votes": 0}
        threshold = fastest(lambda: ask.answer("decide/target_threshold", **params))
        chosen = fastest(lambda: decisions.choose(ask, rule, scope.observations.num_rows))
    return {"rows": rows_of(lake), "pool": pooled, "threshold": threshold, "choose": chosen}


def rows_of(lake: Lake) -> int:
    """Return how many tile predictions there are."""
    import polars as pl

    (predicted,) = tables.latest(lake, "tile_predictions")
    return int(tables.scan(lake, predicted).select(pl.len()).collect().item())


def in_polars(lake: Lake) -> dict[str, float]:
    """Pool the same with Polars, from the same files."""
    import polars as pl

    records, predicted = tables.latest(lake, "image_records", "tile_predictions")

    def work() -> object:
        return (
            tables.scan(lake, predicted)
            .filter(pl.col("model_version") == MODEL, pl.col("scheme_id") == SCHEME)
            .join(tables.scan(lake, records).select("image_id", "observation_id"), on="image_id")
            .group_by("observation_id", "species_id")
            .agg(
                (pl.col("probability").cast(pl.Float64).sum() / TILES).alias("score"),
                (pl.col("rank") == 1).sum().alias("votes"),
            )
            .collect()
        )

    return {"pool": fastest(work)}


def in_pandas(lake: Lake) -> dict[str, float]:
    """Pool the same with pandas, from rows that it has in memory already."""
    records, predicted = tables.latest(lake, "image_records", "tile_predictions")
    columns = ["image_id", "species_id", "rank", "probability"]
    tiles = tables.scan(lake, predicted).select(columns).collect().to_pandas()
    images = tables.scan(lake, records).select("image_id", "observation_id").collect().to_pandas()

    def work() -> object:
        joined = tiles.merge(images, on="image_id")
        joined["vote"] = joined["rank"] == 1
        found = joined.groupby(["observation_id", "species_id"], sort=False).agg(
            score=("probability", "sum"), votes=("vote", "sum")
        )
        found["score"] /= TILES
        return found

    return {"pool": fastest(work)}


def sweep(lake: Lake) -> dict[str, float]:
    """Try all subsets of six scales x five sizes of answers x three poolings."""
    scope = decisions.whole_scope(lake, "quadrats")
    (records,) = tables.latest(lake, "image_records")
    facts = query.answer(lake, "labels/observation_facts", [records], dataset="quadrats")
    frames = {"current_labels": labels.current(lake, "quadrats"), "scope": scope.observations}
    truth = query.answer(None, "evaluate/truth", frames=frames)
    nothing_known = pa.table({"species_id": pa.array([], pa.string()), "is_venomous": pa.array([], pa.bool_())})
    starts = dict(zip(LEVELS, np.cumsum([0, *(level * level for level in LEVELS)]).tolist(), strict=False))
    part = {level: Part(str(level), SCHEME, starts[level], starts[level] + level * level - 1) for level in LEVELS}
    subsets = [chosen for size in LEVELS for chosen in combinations(LEVELS, size)]
    parts = {"+".join(map(str, chosen)): [part[level] for level in chosen] for chosen in subsets}
    rules = [
        DecisionRule("many", tilings=tilings, pooling=pooling, mean_species=size)
        for tilings in parts
        for pooling in ("max", "mean", "noisy_or")
        for size in (2, 3, 4, 6, 8)
    ]
    began = time.perf_counter()
    tried, _ = sweeps.run(lake, scope, truth, facts, nothing_known, MODEL, SPECIES, rules, parts, resamples=500)
    seconds = time.perf_counter() - began
    return {"rules": len(tried), "metrics": len(tried[0].scores), "seconds": seconds}


WORK: dict[str, Callable[[Lake], dict[str, float]]] = {
    "pooling": pooling,
    "in_polars": in_polars,
    "in_pandas": in_pandas,
    "sweep": sweep,
}


def measured(name: str, lake: Lake) -> dict[str, float]:
    """Run one piece of work in a process of its own; its peak memory in MB comes with what it says."""
    done = subprocess.run(
        [sys.executable, __file__, "--work", name, "--at", lake.root], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Draw, measure, and print figures and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quadrats", type=int, default=2105)
    parser.add_argument("--parts", default="pooling,sweep,growth")
    parser.add_argument("--at", type=Path, default=None, help="a folder to draw into and keep")
    parser.add_argument("--work", choices=sorted(WORK), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        found = WORK[asked.work](Lake(str(asked.at)))
        told(json.dumps({**found, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory(prefix="taxalake-benchmark-") as temporary:
        place = asked.at or Path(temporary)
        lake = drawn(place / f"lake-{asked.quadrats}", asked.quadrats)
        parts = asked.parts.split(",")
        ours = measured("pooling", lake)
        if "pooling" in parts:
            told(f"pool {ours['rows']:,.0f} predictions: {ours['pool']:.2f} s (at most 1.0), {ours['mb']:.0f} MB")
            told(f"threshold of four species in the mean: {ours['threshold']:.3f} s (at most 0.4)")
            told(f"choose species by it: {ours['choose']:.2f} s")
            for other in ("in_polars", "in_pandas"):
                seconds = measured(other, lake)["pool"]
                ratio = ours["pool"] / seconds
                told(f"  the same pooling {other.replace('_', ' ')}: {seconds:.2f} s; SQL / it {ratio:.2f}")
        if "sweep" in parts:
            found = measured("sweep", lake)
            told(
                f"sweep of {found['rules']:.0f} rules, {found['metrics']:.0f} metrics each with intervals: "
                f"{found['seconds']:.0f} s (at most 240), {found['mb']:.0f} MB (at most 4,096)"
            )
        if "growth" in parts:
            more = measured("pooling", drawn(place / f"lake-{10 * asked.quadrats}", 10 * asked.quadrats))
            ratio = more["pool"] / ours["pool"]
            told(f"ten times the rows: {ratio:.1f} times the time (at most 12), {more['mb']:.0f} MB")


def drawn(root: Path, quadrats: int) -> Lake:
    """Return a drawn lake; one that is there is left."""
    lake = Lake(str(root))
    if not (root / "drawn").is_file():
        draw(lake, quadrats)
        (root / "drawn").touch()
    return lake


if __name__ == "__main__":
    main()
