"""Training a linear head on many embeddings against a bare torch loop, and what the flow adds around it.

Run by hand on a machine that does nothing else, in some minutes:

    python tests/benchmarks/training.py [--examples 100000] [--dimension 768] [--species 7806] [--epochs 3]

The embeddings are drawn: each is its species' own direction with noise. Both loops see the same tensors, the same
batches of 4,096 and the same Adam; the bare one has no Lightning, no validation, no checkpoint.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional

from flows import train as stage
from lake import tables
from lake.schemas import TABLES
from lake.tables import Lake
from modeling import training
from modeling.backbones import key_of
from modeling.examples import Examples
from modeling.heads.linear import LinearHead
from modeling.problem import Problem
from modeling.recipe import Recipe

BATCH = 4096
_VALIDATION = 0.1
_SPEC = json.dumps({"dtype": "float32"})


def draw(asked: argparse.Namespace) -> Examples:
    """Draw embeddings, those of training first."""
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(asked.species, asked.dimension)).astype(np.float32)
    targets = generator.permutation(np.arange(asked.examples) % asked.species)
    features = directions[targets] + 2 * generator.standard_normal((asked.examples, asked.dimension), np.float32)
    is_validation = np.arange(asked.examples) >= asked.examples * (1 - _VALIDATION)
    return Examples(features, targets.astype(np.int64), is_validation)


def bare(examples: Examples, species: int, epochs: int) -> float:
    """Return the seconds of an epoch of a loop that only trains."""
    features = torch.from_numpy(examples.features[~examples.is_validation])
    targets = torch.from_numpy(examples.class_indices[~examples.is_validation])
    torch.manual_seed(0)
    network = LinearHead(features.shape[1], species, dropout=0.3)
    network.standardise(features)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    seconds = []
    for _ in range(epochs):
        began = time.monotonic()
        for rows in torch.randperm(len(targets)).split(BATCH):
            loss = functional.cross_entropy(network(features[rows]), targets[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        seconds.append(time.monotonic() - began)
    return min(seconds)


def ours(examples: Examples, species: int, epochs: int) -> float:
    """Return the seconds of an epoch of training as the flow does it."""
    ends = [time.monotonic()]
    recipe = Recipe(poolings=("cls",), batch_size=BATCH, max_epochs=epochs)
    counts = np.bincount(examples.class_indices[~examples.is_validation], minlength=species)
    problem = Problem(examples.features.shape[1], tuple(counts.tolist()))
    training.fit(examples, problem, recipe, on_epoch=lambda _: ends.append(time.monotonic()))
    # The first one has the preparation before it.
    return float(min(np.diff(ends)[1:]))


def stock(home: Path, examples: Examples, species: int) -> None:
    """Write a lake that holds the embeddings, as ingest and embed would have left it."""
    lake = Lake(str(home / "lake"))
    now = datetime.now(UTC)
    count = len(examples.class_indices)
    names = [f"{number:064x}" for number in range(count)]
    of_species = [str(index) for index in examples.class_indices]

    def append(table: str, columns: dict[str, Any]) -> None:
        schema = TABLES[table].columns
        length = max(len(values) for values in columns.values() if isinstance(values, list | pa.Array))
        whole = {}
        for field in schema:
            value = columns.get(field.name, now if pa.types.is_timestamp(field.type) else None)
            if value is None and not field.nullable:
                value = "drawn" if pa.types.is_string(field.type) else 0
            is_column = isinstance(value, list | pa.Array)
            whole[field.name] = (
                (value if isinstance(value, pa.Array) else pa.array(value, field.type))
                if is_column
                else pa.repeat(pa.scalar(value, field.type), length)
            )
        tables.append(lake, table, pa.table(whole, schema=schema))

    tables.create_missing(lake)
    sides = ["val" if held_out else "train" for held_out in examples.is_validation]
    append("images", {"image_id": names, "format": "JPEG"})
    append(
        "image_records",
        {"dataset": "d", "image_name": names, "image_id": names, "observation_id": names, "split_tag": sides},
    )
    append("labels", {"dataset": "d", "observation_id": names, "species_id": of_species, "status": "given"})
    ids = [str(index) for index in range(species)]
    append("species", {"species_id": ids, "scientific_name": [f"Drawn {number}" for number in ids]})
    key = key_of(_SPEC)
    append("embedding_specs", {"embedding_key": [key], "backbone": "drawn", "weights_hash": "0" * 16, "spec": _SPEC})
    for start in range(0, count, 16_384):
        part = slice(start, start + 16_384)
        flat = pa.array(examples.features[part].ravel())
        size = examples.features.shape[1]
        offsets = pa.array(np.arange(0, len(flat) + 1, size), pa.int32())
        vectors = pa.ListArray.from_arrays(offsets, flat)
        nothing = pa.array([[]] * len(vectors), pa.list_(pa.float32()))
        others = {"mean_patch": nothing, "dct": nothing, "dct_published": nothing}
        place = {"embedding_key": key, "scheme_id": "whole"}
        append("embeddings", {**place, "image_id": names[part], "cls": vectors, **others})


def flow(home: Path, epochs: int) -> tuple[float, float]:
    """Return the seconds of the whole flow, and those of the fitting inside of it."""
    inside = 0.0
    fit: Callable[..., Any] = training.fit

    def timed(*arguments: Any, **named: Any) -> Any:
        nonlocal inside
        began = time.monotonic()
        fitted = fit(*arguments, **named)
        inside += time.monotonic() - began
        return fitted

    training.fit = timed
    began = time.monotonic()
    recipe = {"poolings": "cls", "batch_size": BATCH, "max_epochs": epochs}
    stage.train.fn("d", "drawn", home=home, recipe=recipe)
    return time.monotonic() - began, inside


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--species", type=int, default=7806)
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    examples = draw(asked)
    reference = bare(examples, asked.species, asked.epochs)
    measured = ours(examples, asked.species, asked.epochs)
    say(f"{asked.examples:,} x {asked.dimension}, {asked.species:,} species, batches of {BATCH:,}")
    say(f"bare torch loop        {reference:8.2f} s an epoch")
    say(f"training               {measured:8.2f} s an epoch, validation and checkpoint included")
    say(f"ratio                  {measured / reference:8.2f}  (at most 1.5)")
    with tempfile.TemporaryDirectory(prefix="taxalake-benchmark-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        # No photographs were embedded, so that none can be sent through the model.
        (home / "taxalake.toml").write_text("probe_photographs = 0\n")
        stock(home, examples, asked.species)
        whole, inside = flow(home, asked.epochs)
    say(f"the flow               {whole:8.2f} s, {inside:.2f} of them fitting")
    say(f"around the fitting     {whole - inside:8.2f} s  (at most 10)")


if __name__ == "__main__":
    main()
