"""Real seedlings: the best of some heads, chosen by validation alone, on photographs that nobody chose it by."""

from pathlib import Path

import pytest

from flows.ablate import ablate
from flows.embed import embed
from flows.evaluate import evaluate
from flows.ingest import ingest_table
from flows.train import train

TILINGS = ["whole", "grid-2x2", "window-75-s38"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_best_of_an_ablation_names_seedlings_that_nobody_chose_it_by(shared, tmp_path):
    home = tmp_path / "home"
    table = (shared / "plant-seedlings12" / "labels.csv", "seedlings", "path", "label")
    ingest_table.fn(*table, split_column="split", name_column="scientific_name", home=home)
    embed.fn("seedlings", str(shared / "vit-tiny-dinov2"), TILINGS, home=home)
    matrix = {"tilings": ["whole", "+".join(TILINGS)], "head": ["linear", "mlp", "discriminant", "nearest"]}
    tried = ablate.fn({"dataset": "seedlings", "matrix": matrix, "recipe": {"refit": True}}, home=home)
    assert (len(tried.cells), tried.refused) == (8, {})
    # Which parts help, and how sure that is.
    gains = {(effect.dimension, effect.choice): effect for effect in tried.effects}
    assert gains["tilings", "+".join(TILINGS)].gain > 0
    assert gains["head", "nearest"].gain < 0
    assert all(effect.low <= effect.gain <= effect.high for effect in tried.effects)
    train.fn("seedlings", "best", home=home, recipe=Path(tried.best_recipe))
    scores = evaluate.fn("seedlings", "best", home=home)
    assert (scores.split, scores.observations) == ("test", 240)
    assert scores.metrics["accuracy"] >= 0.83
