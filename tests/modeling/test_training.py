import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from modeling.class_map import ClassMap
from modeling.errors import TrainingError
from modeling.training import Examples, Fitted, Recipe, fit, key

SPECIES = ["70", "8", "HM 1954"]
CLASSES = ClassMap.of(dict.fromkeys(SPECIES, "a name"))
QUICK = Recipe(learning_rate=0.05, max_epochs=6)


def separable(noise: float = 0.1, count: int = 90) -> Examples:
    """Draw photographs whose species is the dimension that stands out; every third is for validation."""
    classes = np.random.default_rng(0).integers(0, len(CLASSES), count)
    features = np.random.default_rng(1).normal(0, noise, (count, 5))
    features[np.arange(count), classes] += 1
    return Examples(features.astype(np.float32), classes.astype(np.int64), np.arange(count) % 3 == 0)


def logits(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return fitted.network(torch.from_numpy(features)).numpy()


@pytest.fixture(scope="module")
def learnt() -> Fitted:
    return fit(separable(), len(CLASSES), QUICK)


def test_what_can_be_told_apart_is_learnt(learnt: Fitted):
    assert learnt.validation_accuracy == 1.0
    assert learnt.validation_loss < 0.6


def test_each_logit_belongs_to_the_species_of_its_place_in_the_class_map():
    """The probe: photographs of which each shows the number of its species and nothing else."""
    features = np.tile(np.eye(3, dtype=np.float32), (4, 1))
    shown = ["HM 1954", "70", "8"] * 4
    targets = np.array([CLASSES.index[species] for species in shown])
    fitted = fit(Examples(features, targets, np.arange(12) >= 9), len(CLASSES), QUICK)
    named = [CLASSES.species_ids[best] for best in logits(fitted, features).argmax(axis=1)]
    assert named == shown


def test_the_head_that_is_returned_is_that_of_the_best_epoch(tmp_path: Path):
    # Overlapping classes, few photographs and a high rate: the validation loss falls, then rises.
    examples = separable(noise=1.5, count=60)
    logger = CSVLogger(tmp_path, name="", version="")
    fitted = fit(examples, len(CLASSES), Recipe(learning_rate=0.1, max_epochs=30, patience=5, dropout=0.0), logger)
    with (tmp_path / "metrics.csv").open(newline="") as lines:
        losses = [float(row["val_loss"]) for row in csv.DictReader(lines) if row["val_loss"]]
    held_out = examples.is_validation
    found = torch.from_numpy(logits(fitted, examples.features[held_out]))
    loss = torch.nn.functional.cross_entropy(found, torch.from_numpy(examples.class_indices[held_out])).item()
    assert fitted.best_epoch == np.argmin(losses) < len(losses) - 1
    assert fitted.validation_loss == pytest.approx(min(losses), abs=1e-6)
    assert loss == pytest.approx(min(losses), abs=1e-6)
    # It stops as many epochs after the best one as it was told to wait.
    assert fitted.epochs == len(losses) == fitted.best_epoch + 1 + 5


def test_the_same_seed_gives_the_same_weights(learnt: Fitted):
    torch.manual_seed(99)
    assert fit(separable(), len(CLASSES), QUICK).weights_hash == learnt.weights_hash


def test_another_seed_gives_other_weights(learnt: Fitted):
    assert fit(separable(), len(CLASSES), replace(QUICK, seed=1)).weights_hash != learnt.weights_hash


def test_validation_photographs_are_not_learnt_from(learnt: Fitted):
    examples = separable()
    examples.features[examples.is_validation] += 100
    # The best of one epoch is that epoch, whatever the validation loss says.
    once = replace(QUICK, max_epochs=1)
    assert fit(examples, 3, once).weights_hash == fit(separable(), 3, once).weights_hash


def test_every_epoch_is_told_once():
    told: list[int] = []
    fitted = fit(separable(), len(CLASSES), replace(QUICK, max_epochs=2), on_epoch=told.append)
    assert told == [1, 1]
    assert fitted.epochs == 2


@pytest.mark.parametrize(
    ("is_validation", "words"),
    [(True, "0 photographs to train on and 90 to validate on"), (False, "90 photographs to train on and 0 to")],
)
def test_without_photographs_on_either_side_nothing_is_trained(is_validation: bool, words: str):
    examples = replace(separable(), is_validation=np.full(90, is_validation))
    with pytest.raises(TrainingError, match=words):
        fit(examples, len(CLASSES), QUICK)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 1])  # of validation, of training
def test_embeddings_that_are_not_finite_are_refused(value: float, row: int):
    examples = separable()
    examples.features[row, 2] = value
    with pytest.raises(TrainingError, match="NaN or infinity"):
        fit(examples, len(CLASSES), QUICK)


@pytest.mark.parametrize(("count", "size"), [(1, 64), (12_700, 64), (12_800, 128), (60_000, 512), (10_000_000, 1024)])
def test_an_epoch_is_about_a_hundred_steps(count: int, size: int):
    assert Recipe().batch(count) == size


def test_a_batch_size_that_is_asked_for_is_taken():
    assert Recipe(batch_size=7).batch(10_000_000) == 7


def test_a_training_is_named_by_everything_it_depends_on():
    names = {
        key("rows", "classes", "embedding", ("cls",), Recipe()),
        key("other rows", "classes", "embedding", ("cls",), Recipe()),
        key("rows", "other classes", "embedding", ("cls",), Recipe()),
        key("rows", "classes", "other embedding", ("cls",), Recipe()),
        key("rows", "classes", "embedding", ("mean_patch",), Recipe()),
        key("rows", "classes", "embedding", ("cls",), Recipe(seed=1)),
    }
    assert len(names) == 6
    assert key("rows", "classes", "embedding", ("cls",), Recipe()) in names
