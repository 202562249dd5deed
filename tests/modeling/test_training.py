import csv
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from modeling import calibration, heads, objectives, training
from modeling.class_map import ClassMap
from modeling.errors import TrainingError
from modeling.examples import Examples
from modeling.heads import TrainedHead, kinds
from modeling.heads.head import Head
from modeling.judging import judge
from modeling.problem import Problem
from modeling.recipe import Recipe
from modeling.training import Fitted, fit, key

SPECIES = ["70", "8", "HM 1954"]
CLASSES = ClassMap.of(dict.fromkeys(SPECIES, "a name"))
PROBLEM = Problem(
    dimension=5,
    class_counts=(20, 20, 20),
    genera=("Poa", "Poa", "Vipera"),
    families=("Poaceae", "Poaceae", "Viperidae"),
    venomous=(False, False, True),
)
QUICK = Recipe(learning_rate=0.05, max_epochs=6)
ONCE = replace(QUICK, max_epochs=1)
BY_STEPS = [kind for kind, head in kinds.KINDS.items() if head.learns_by_steps]
AT_ONCE = [kind for kind in kinds.KINDS if kind not in BY_STEPS]
MULTI_LABEL = [name for name, objective in objectives.OBJECTIVES.items() if objective.is_multi_label]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than sums this small."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def separable(noise: float = 0.1, count: int = 90) -> Examples:
    """Draw photographs whose species is the dimension that stands out; every third is for validation."""
    classes = np.random.default_rng(0).integers(0, len(CLASSES), count)
    features = np.random.default_rng(1).normal(0, noise, (count, 5))
    features[np.arange(count), classes] += 1
    return Examples(features.astype(np.float32), classes.astype(np.int64), np.arange(count) % 3 == 0)


def logits(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return fitted.network(torch.from_numpy(features)).numpy()


def refused_before_training(examples: Examples, recipe: Recipe, words: str) -> None:
    told: list[int] = []
    with pytest.raises(TrainingError, match=words):
        fit(examples, PROBLEM, recipe, on_epoch=told.append)
    assert told == []


@pytest.fixture(scope="module")
def learnt() -> Fitted:
    return fit(separable(), PROBLEM, QUICK)


# What is learnt


def test_what_can_be_told_apart_is_learnt(learnt: Fitted):
    assert learnt.validation_accuracy == 1.0
    assert learnt.validation_loss < 0.6


def test_each_logit_belongs_to_the_species_of_its_place_in_the_class_map():
    """The probe: photographs of which each shows the number of its species and nothing else."""
    features = np.tile(np.eye(3, 5, dtype=np.float32), (4, 1))
    shown = ["HM 1954", "70", "8"] * 4
    targets = np.array([CLASSES.index[species] for species in shown])
    fitted = fit(Examples(features, targets, np.arange(12) >= 9), PROBLEM, QUICK)
    named = [CLASSES.species_ids[best] for best in logits(fitted, features).argmax(axis=1)]
    assert named == shown


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_of_head_is_trained(kind: str):
    fitted = fit(separable(), PROBLEM, replace(QUICK, head=kind))
    assert fitted.network.kind == kind
    assert fitted.validation_accuracy == 1.0
    assert not fitted.network.training
    if kind in AT_ONCE:
        assert (fitted.epochs, fitted.best_epoch, fitted.learning_rate) == (0, -1, None)
    else:
        assert (fitted.epochs, fitted.learning_rate) == (6, 0.05)


@pytest.mark.parametrize("name", objectives.OBJECTIVES)
def test_every_objective_is_trained_with(name: str):
    fitted = fit(separable(), PROBLEM, replace(QUICK, objective=name, max_epochs=12))
    assert fitted.validation_accuracy == 1.0
    assert fitted.is_multi_label is (name in MULTI_LABEL)
    assert 0 < fitted.answers.probabilities.min() <= fitted.answers.probabilities.max() <= 1


@pytest.mark.parametrize("name", MULTI_LABEL)
def test_what_grows_together_is_learnt_from_sums_of_single_plants(name: str):
    recipe = replace(QUICK, objective=name, quadrat_species=3, batch_size=16, max_epochs=25)
    fitted = fit(separable(), PROBLEM, recipe)
    both = np.array([[0.5, 0.5, 0, 0, 0], [0, 0.5, 0.5, 0, 0]], np.float32)
    found = logits(fitted, both)
    assert found[0].argmin() == 2
    assert found[1].argmin() == 0
    assert fitted.validation_accuracy == 1.0


def test_settings_reach_head_and_objective():
    recipe = replace(ONCE, head="mlp", head_settings={"hidden": [7]}, objective_settings={"label_smoothing": 0.9})
    assert fit(separable(), PROBLEM, recipe).network.settings()["hidden"] == [7]
    plain = fit(separable(), PROBLEM, replace(recipe, objective_settings={}))
    assert plain.weights_hash != fit(separable(), PROBLEM, recipe).weights_hash


def test_mixed_embeddings_are_learnt_from():
    fitted = fit(separable(), PROBLEM, replace(QUICK, mixup=0.4))
    assert fitted.validation_accuracy == 1.0
    assert fitted.weights_hash != fit(separable(), PROBLEM, QUICK).weights_hash


def test_class_balanced_sampling_finds_more_of_a_rare_species():
    """A hundred to one, and so much alike that without balance the common one is always likelier."""
    classes = np.repeat([0, 1], [600, 6])
    held = np.repeat([0, 1], [50, 50])
    where = np.concatenate([classes, held])
    features = np.random.default_rng(0).normal(0, 1, (len(where), 5)).astype(np.float32)
    features[:, 0] += 1.5 * where
    examples = Examples(features, where, np.arange(len(where)) >= 606)
    recalls = []
    for sampling in ("shuffled", "class_balanced"):
        answers = fit(examples, PROBLEM, replace(QUICK, sampling=sampling)).answers
        recalls.append(answers.is_right[answers.truth == 1].mean())
    assert recalls[1] > recalls[0] + 0.3


def test_bfloat16_trains_and_returns_float32():
    fitted = fit(separable(), PROBLEM, replace(QUICK, precision="bfloat16"))
    assert fitted.validation_accuracy == 1.0
    assert {tensor.dtype for tensor in fitted.network.parameters()} == {torch.float32}
    assert fitted.weights_hash != fit(separable(), PROBLEM, QUICK).weights_hash


# When it stops


def test_the_head_that_is_returned_is_that_of_the_best_epoch(tmp_path: Path):
    # Overlapping classes, few photographs and a high rate: the validation loss falls, then rises.
    examples = separable(noise=1.5, count=60)
    logger = CSVLogger(tmp_path, name="", version="")
    recipe = Recipe(learning_rate=0.1, max_epochs=30, patience=5, head_settings={"dropout": 0.0})
    fitted = fit(examples, PROBLEM, recipe, logger)
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


def test_every_epoch_is_told_once():
    told: list[int] = []
    fitted = fit(separable(), PROBLEM, replace(QUICK, max_epochs=2), on_epoch=told.append)
    assert told == [1, 1]
    assert fitted.epochs == 2


def test_what_tells_when_to_stop_is_the_likelihood_whatever_is_trained():
    """Label smoothing makes a perfect head's objective large; its likelihood is not smoothed."""
    fitted = fit(separable(), PROBLEM, replace(QUICK, objective_settings={"label_smoothing": 0.5}))
    examples = separable()
    held_out = torch.from_numpy(examples.class_indices[examples.is_validation])
    found = torch.from_numpy(logits(fitted, examples.features[examples.is_validation]))
    assert fitted.validation_loss == pytest.approx(torch.nn.functional.cross_entropy(found, held_out).item(), abs=1e-6)


def test_a_loss_that_is_never_a_number_is_an_error():
    examples = separable()
    # Finite, and far beyond what a float32 holds once it is divided by the spread of training.
    examples.features[0, 2] = 3e38
    with pytest.raises(TrainingError, match=r"'cross_entropy' was never a number: a smaller learning_rate than 0\.05"):
        fit(examples, PROBLEM, QUICK)


def test_an_enormous_learning_rate_gives_a_finite_head_or_an_error():
    fitted = fit(separable(), PROBLEM, replace(QUICK, learning_rate=99))
    assert np.isfinite(fitted.validation_loss)


# The same again


@pytest.mark.parametrize("kind", ["linear", "mlp", "nearest", "logistic"])
def test_the_same_seed_gives_the_same_weights_whatever_ran_before(kind: str):
    recipe = replace(QUICK, head=kind)
    first = fit(separable(), PROBLEM, recipe).weights_hash
    torch.manual_seed(99)
    np.random.seed(7)
    fit(separable(noise=1.0), PROBLEM, replace(ONCE, seed=5))
    assert fit(separable(), PROBLEM, recipe).weights_hash == first


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_another_seed_gives_other_weights(kind: str):
    one, other = (fit(separable(), PROBLEM, replace(ONCE, head=kind, seed=seed)).weights_hash for seed in (0, 1))
    assert one != other


def test_validation_photographs_are_not_learnt_from():
    examples = separable()
    examples.features[examples.is_validation] += 100
    # The best of one epoch is that epoch, whatever the validation loss says.
    assert fit(examples, PROBLEM, ONCE).weights_hash == fit(separable(), PROBLEM, ONCE).weights_hash


@pytest.mark.parametrize("mode", ["r+", "r"])
@pytest.mark.parametrize("kind", ["linear", "nearest", "discriminant"])
def test_examples_mapped_from_a_file_give_the_weights_of_examples_in_memory(tmp_path: Path, kind: str, mode: str):
    examples = separable()
    sides = np.argsort(examples.is_validation, kind="stable")  # training first, as flows hand them over
    inside = Examples(examples.features[sides], examples.class_indices[sides], examples.is_validation[sides])
    inside.features.tofile(tmp_path / "features.f32")
    mapped = np.memmap(tmp_path / "features.f32", np.float32, mode, shape=inside.features.shape)
    recipe = replace(QUICK, head=kind, max_epochs=2)
    in_memory = fit(inside, PROBLEM, recipe)
    from_file = fit(replace(inside, features=mapped), PROBLEM, recipe)
    assert from_file.weights_hash == in_memory.weights_hash
    assert from_file.temperature == in_memory.temperature
    np.testing.assert_array_equal(from_file.answers.probabilities, in_memory.answers.probabilities)
    # Nothing was written into the file.
    np.testing.assert_array_equal(np.asarray(mapped), inside.features)


def test_a_training_leaves_the_process_and_the_folder_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    lightning = logging.getLogger("pytorch_lightning")
    monkeypatch.setattr(lightning, "level", logging.ERROR)
    torch.use_deterministic_algorithms(False)
    before = (False, torch.get_num_threads(), logging.ERROR)
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(separable(), PROBLEM, replace(ONCE, learning_rate=None, refit=True))
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), lightning.level) == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_training_that_fails_leaves_the_process_as_it_was():
    def fails(count: int) -> None:
        raise RuntimeError("the terminal is gone")

    torch.use_deterministic_algorithms(False)
    with pytest.raises(RuntimeError, match="the terminal is gone"):
        fit(separable(), PROBLEM, ONCE, on_epoch=fails)
    assert not torch.are_deterministic_algorithms_enabled()


# The learning rate


def test_a_rate_that_is_found_is_the_same_twice_and_learns():
    recipe = replace(QUICK, learning_rate=None, max_epochs=15)
    first, second = fit(separable(), PROBLEM, recipe), fit(separable(), PROBLEM, recipe)
    assert first.learning_rate == second.learning_rate
    assert first.weights_hash == second.weights_hash
    assert 1e-6 < first.learning_rate < 1
    assert first.validation_accuracy == 1.0


def test_a_rate_that_was_found_gives_the_head_of_the_same_rate_given():
    recipe = replace(QUICK, head="mlp", learning_rate=None)
    found = fit(separable(), PROBLEM, recipe)
    given = fit(separable(), PROBLEM, replace(recipe, learning_rate=found.learning_rate))
    assert given.weights_hash == found.weights_hash


def test_a_rate_is_found_by_as_many_tries_however_few_epochs_follow():
    rates = [
        fit(separable(), PROBLEM, replace(QUICK, learning_rate=None, max_epochs=epochs)).learning_rate
        for epochs in (1, 3)
    ]
    assert rates[0] == rates[1]


def test_a_larger_scale_of_steps_finds_a_smaller_rate():
    """One step moves a logit by the rate times the number of features: of many features smaller steps are as long."""
    wide = separable()
    wide = replace(wide, features=np.tile(wide.features, (1, 40)))
    recipe = replace(ONCE, learning_rate=None)
    few = fit(separable(), PROBLEM, recipe).learning_rate
    many = fit(wide, replace(PROBLEM, dimension=200), recipe).learning_rate
    assert many < few / 4


def test_where_the_loss_falls_nowhere_no_rate_is_made_up():
    examples = separable()
    examples.features[:] = 1.0
    single = Examples(examples.features, np.zeros_like(examples.class_indices), examples.is_validation)
    with pytest.raises(TrainingError, match="no learning rate was found at which the loss falls; give one"):
        fit(
            single,
            replace(PROBLEM, class_counts=(60,), genera=(), families=(), venomous=()),
            replace(ONCE, learning_rate=None),
        )


# Learning once more from everything


def test_a_refit_learns_from_the_validation_photographs_too():
    # Of the third species there is none in training.
    examples = separable()
    examples = replace(examples, is_validation=examples.class_indices == 2)
    recipe = replace(QUICK, head="nearest")
    features = examples.features[examples.is_validation]
    before, after = (logits(fit(examples, PROBLEM, replace(recipe, refit=on)), features) for on in (False, True))
    assert (before.argmax(axis=1) != 2).all()
    assert (after.argmax(axis=1) == 2).all()


@pytest.mark.parametrize("kind", ["linear", "mlp", "logistic"])
def test_what_is_said_of_a_refitted_head_is_of_the_head_that_had_not_seen_the_answers(kind: str):
    recipe = replace(QUICK, head=kind, patience=2)
    plain, refitted = (fit(separable(noise=0.8), PROBLEM, replace(recipe, refit=on)) for on in (False, True))
    assert refitted.weights_hash != plain.weights_hash
    assert refitted.temperature == plain.temperature
    assert refitted.validation_loss == plain.validation_loss
    assert (refitted.best_epoch, refitted.epochs) == (plain.best_epoch, plain.epochs)
    np.testing.assert_array_equal(refitted.answers.probabilities, plain.answers.probabilities)
    np.testing.assert_array_equal(refitted.confidence.after, plain.confidence.after)


def test_a_refit_learns_for_as_many_epochs_as_the_best_took(monkeypatch: pytest.MonkeyPatch):
    lengths: list[int] = []
    whole = training._train

    def watched(*given: Any) -> Any:
        course = whole(*given)
        lengths.append(course.epochs)
        return course

    monkeypatch.setattr(training, "_train", watched)
    recipe = Recipe(learning_rate=0.1, max_epochs=30, patience=3, head_settings={"dropout": 0.0}, refit=True)
    fitted = fit(separable(noise=1.5, count=60), PROBLEM, recipe)
    assert lengths == [fitted.epochs, fitted.best_epoch + 1]
    assert lengths[1] < lengths[0]


# What is answered


class Said(Head):
    """Gives the features as logits."""

    kind = "said"

    @classmethod
    def of(cls, problem: Problem, settings: dict[str, Any]) -> "Said":
        return cls(problem.dimension, problem.class_count)

    def settings(self) -> dict[str, Any]:
        return {}

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def log_odds(*rows: tuple[float, ...]) -> np.ndarray:
    return np.log(np.array(rows)).astype(np.float32)


SAID = Said(3, 3)
TILES = Examples(
    # Rows are log-probabilities; those of observation 4 lie apart, and are right only together.
    log_odds((0.6, 0.3, 0.1), (0.1, 0.1, 0.8), (0.1, 0.7, 0.2), (0.2, 0.2, 0.6), (0.1, 0.5, 0.4), (0.9, 0.05, 0.05)),
    np.array([1, 2, 0, 0, 1, 0]),
    np.array([True, True, True, False, True, True]),
    np.array([4, 2, 9, 4, 4, 2]),
)


def test_an_observation_is_answered_by_the_mean_of_its_tiles():
    found = judge(SAID, TILES, 1.0, False)[0]
    np.testing.assert_array_equal(found.observations, [2, 4, 9])
    np.testing.assert_array_equal(found.truth, [2, 1, 0])
    # 2: (0.5, 0.075, 0.425); 4: (0.35, 0.4, 0.25), without the tile on the side of training; 9: as it is.
    np.testing.assert_array_equal(found.best, [0, 1, 1])
    np.testing.assert_allclose(found.probabilities, [0.5, 0.4, 0.7], rtol=1e-6)
    np.testing.assert_array_equal(found.is_right, [False, True, False])


def test_probabilities_of_tiles_are_calibrated_before_their_mean_is_taken():
    found = judge(SAID, TILES, 0.5, False)[0]
    squares = np.square([[0.6, 0.3, 0.1], [0.1, 0.5, 0.4]])
    expected = (squares / squares.sum(axis=1, keepdims=True)).mean(axis=0)
    assert found.best[1] == expected.argmax()
    assert found.probabilities[1] == pytest.approx(expected.max(), rel=1e-6)


def test_answers_of_several_species_are_means_of_sigmoids():
    found = judge(SAID, TILES, 1.0, True)[0]
    # The sigmoid of a log-probability p is p / (1 + p).
    expected = np.array([0.6 / 1.6 + 0.1 / 1.1, 0.3 / 1.3 + 0.5 / 1.5, 0.1 / 1.1 + 0.4 / 1.4]) / 2
    assert found.best[1] == expected.argmax()
    assert found.probabilities[1] == pytest.approx(expected.max(), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 100])
def test_answers_do_not_depend_on_how_many_rows_are_looked_at_together(rows: int, monkeypatch: pytest.MonkeyPatch):
    chance = np.random.default_rng(0)
    many = Examples(
        chance.normal(size=(60, 3)).astype(np.float32),
        np.arange(60) % 3,
        np.arange(60) % 5 > 0,
        chance.integers(0, 15, 60),
    )
    whole = judge(SAID, many, 1.0, False)[0]
    monkeypatch.setattr("modeling.judging._CHUNK", rows)
    parts = judge(SAID, many, 1.0, False)[0]
    np.testing.assert_array_equal(parts.observations, whole.observations)
    np.testing.assert_array_equal(parts.truth, whole.truth)
    np.testing.assert_array_equal(parts.best, whole.best)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, rtol=1e-12)


def test_an_example_without_an_observation_is_one_of_its_own(learnt: Fitted):
    np.testing.assert_array_equal(learnt.answers.observations, np.arange(0, 90, 3))


# How sure it is


def test_the_temperature_makes_an_overconfident_head_honest():
    # Small spread and few photographs: a head that learnt them by heart is surer than right.
    examples = separable(noise=0.9, count=240)
    recipe = Recipe(head="logistic", head_settings={"c": 1000.0})
    few = np.where(np.arange(240) % 3 == 0, True, np.arange(240) > 40)
    fitted = fit(replace(examples, is_validation=few), PROBLEM, recipe)
    before, after = fitted.confidence.errors
    assert fitted.temperature > 1.5
    assert after < before / 2
    assert fitted.confidence.before.mean() > fitted.confidence.is_right.mean() + 0.1


def test_confidence_is_of_tiles_in_the_order_of_the_examples(learnt: Fitted):
    examples = separable()
    found = logits(learnt, examples.features[examples.is_validation])
    for confidence, temperature in ((learnt.confidence.before, 1.0), (learnt.confidence.after, learnt.temperature)):
        expected = calibration.softmax(found, temperature).max(axis=1)
        np.testing.assert_allclose(confidence, expected, rtol=1e-5)
    truth = examples.class_indices[examples.is_validation]
    np.testing.assert_array_equal(learnt.confidence.is_right, found.argmax(axis=1) == truth)


def test_several_species_are_calibrated_by_sigmoids():
    fitted = fit(separable(), PROBLEM, replace(QUICK, objective="binary_cross_entropy"))
    examples = separable()
    found = logits(fitted, examples.features[examples.is_validation])
    expected = calibration.sigmoid(found, fitted.temperature).max(axis=1)
    np.testing.assert_allclose(fitted.answers.probabilities, expected, rtol=1e-5)
    truth = np.eye(3, dtype=bool)[examples.class_indices[examples.is_validation]]
    assert fitted.temperature == pytest.approx(calibration.fit_temperature_multi_label(found, truth), rel=1e-6)


# Few photographs


def test_a_species_without_validation_photographs_is_learnt():
    examples = separable()
    examples = replace(examples, is_validation=examples.is_validation & (examples.class_indices != 1))
    fitted = fit(examples, PROBLEM, QUICK)
    assert set(fitted.answers.truth) == {0, 2}
    assert logits(fitted, np.eye(3, 5, dtype=np.float32)).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["linear", "mlp", "nearest", "logistic"])
def test_one_validation_photograph_is_enough(kind: str):
    examples = replace(separable(), is_validation=np.arange(90) == 4)
    fitted = fit(examples, PROBLEM, replace(QUICK, head=kind))
    assert len(fitted.answers.best) == 1
    assert fitted.temperature == 1.0  # one answer says nothing of how sure to be


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_one_photograph_of_each_species_is_enough(kind: str):
    features = np.concatenate([np.eye(3, 5), np.eye(3, 5)]).astype(np.float32)
    examples = Examples(features, np.arange(6) % 3, np.arange(6) >= 3)
    fitted = fit(examples, replace(PROBLEM, class_counts=(1, 1, 1)), replace(QUICK, head=kind, batch_size=2))
    assert fitted.validation_accuracy == 1.0


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_species_that_was_never_seen_is_never_named(kind: str):
    examples = separable()
    unseen = replace(examples, is_validation=examples.is_validation | (examples.class_indices == 1))
    fitted = fit(unseen, replace(PROBLEM, class_counts=(20, 0, 20)), replace(QUICK, head=kind, max_epochs=20))
    others = examples.features[examples.class_indices != 1]
    assert 1 not in logits(fitted, others).argmax(axis=1)


# Refused before anything is trained


@pytest.mark.parametrize(
    ("is_validation", "words"),
    [(True, "0 photographs to train on and 90 to validate on"), (False, "90 photographs to train on and 0 to")],
)
def test_without_photographs_on_either_side_nothing_is_trained(is_validation: bool, words: str):
    refused_before_training(replace(separable(), is_validation=np.full(90, is_validation)), QUICK, words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 1, 89])  # of validation, of training, the last
def test_embeddings_that_are_not_finite_are_refused_by_their_number(value: float, row: int):
    examples = separable()
    examples.features[row, 2] = value
    refused_before_training(examples, QUICK, f"NaN or infinity: that of example {row}$")


@pytest.mark.parametrize("row", [2, 3, 89])
def test_an_example_is_named_by_its_number_among_all_not_among_those_looked_at(
    row: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "_CHUNK", 3)
    examples = separable()
    examples.features[row, 2] = np.nan
    refused_before_training(examples, QUICK, f"that of example {row}$")


@pytest.mark.parametrize(("index", "words"), [(3, "from 0 to 3, and"), (-1, "from -1 to 2, and")])
def test_a_class_index_out_of_the_class_map_is_refused(index: int, words: str):
    examples = separable()
    examples.class_indices[5] = index
    refused_before_training(examples, QUICK, f"class indices are {words} those of the class map from 0 to 2")


@pytest.mark.parametrize("name", ["seesaw", "asymmetric_single", "binary_cross_entropy"])
def test_mixup_is_for_objectives_that_take_shares_of_one_species(name: str):
    refused_before_training(separable(), replace(QUICK, objective=name, mixup=0.2), f"mixup makes shares .*'{name}'")


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES.keys() - set(MULTI_LABEL)))
def test_pseudo_quadrats_are_for_objectives_of_several_species(name: str):
    words = f"'{name}' is for one: binary_cross_entropy, .* are for several"
    refused_before_training(separable(), replace(QUICK, objective=name, quadrat_species=3), words)


@pytest.mark.parametrize("kind", AT_ONCE)
@pytest.mark.parametrize(
    "choice",
    [
        {"objective": "seesaw"},
        {"objective_settings": {"label_smoothing": 0.1}},
        {"mixup": 0.2},
        {"sampling": "class_balanced"},
        {"objective": "asymmetric", "quadrat_species": 3},
    ],
    ids=lambda choice: ",".join(choice),
)
def test_what_means_nothing_to_a_head_without_steps_is_refused(kind: str, choice: dict[str, Any]):
    refused_before_training(separable(), replace(QUICK, head=kind, **choice), f"'{kind}' head does not learn by steps")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"head": "linaer"}, "there is no head 'linaer'; there are linear"),
        ({"head_settings": {"dropuot": 0.1}}, "did you mean 'dropout'"),
        ({"objective": "sesaw"}, "there is no objective 'sesaw'; there are, nearest first, seesaw"),
        ({"objective_settings": {"smoothing": 0.1}}, "did you mean 'label_smoothing'"),
    ],
)
def test_a_misspelt_choice_is_refused_with_its_neighbour(choice: dict[str, Any], words: str):
    refused_before_training(separable(), replace(QUICK, **choice), words)


# Beginning where an older head ended


def trained_head(fitted: Fitted, class_map: ClassMap) -> TrainedHead:
    return TrainedHead(fitted.network, class_map, "key", "{}", "backbone", ("cls",))


def test_a_head_may_begin_with_the_weights_of_an_older_one(learnt: Fitted):
    seen: list[np.ndarray] = []

    def inherit(network: Head) -> None:
        heads.inherit(network, CLASSES, trained_head(learnt, CLASSES))
        seen.append(network(torch.from_numpy(separable().features)).detach().numpy())

    again = fit(
        separable(), PROBLEM, replace(ONCE, learning_rate=1e-9, head_settings={"dropout": 0.0}), inherit=inherit
    )
    np.testing.assert_allclose(seen[0], logits(learnt, separable().features), rtol=1e-6)
    np.testing.assert_allclose(logits(again, separable().features), seen[0], atol=1e-5)


def test_a_refit_begins_with_the_weights_of_the_older_head_too(learnt: Fitted):
    begun: list[str] = []

    def inherit(network: Head) -> None:
        heads.inherit(network, CLASSES, trained_head(learnt, CLASSES))
        begun.append(network.weights_hash)

    fit(separable(), PROBLEM, replace(ONCE, refit=True), inherit=inherit)
    assert begun == [learnt.weights_hash] * 2


# Names


def test_a_training_is_named_by_everything_it_depends_on():
    names = {
        key("rows", "classes", "embedding", QUICK),
        key("other rows", "classes", "embedding", QUICK),
        key("rows", "other classes", "embedding", QUICK),
        key("rows", "classes", "other embedding", QUICK),
        key("rows", "classes", "embedding", replace(QUICK, poolings=("mean_patch",))),
        key("rows", "classes", "embedding", replace(QUICK, seed=1)),
        key("rows", "classes", "embedding", QUICK, "older"),
    }
    assert len(names) == 7
    assert key("rows", "classes", "embedding", replace(QUICK)) in names
