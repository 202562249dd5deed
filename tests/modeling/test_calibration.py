import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchmetrics.classification import MulticlassCalibrationError

from modeling import calibration
from modeling.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_OF_SIGMOIDS,
    LOWEST_TEMPERATURE,
    expected_calibration_error,
    fit_temperature,
    fit_temperature_multi_label,
    reliability,
    sigmoid,
    softmax,
)
from modeling.errors import ModelingError


def honest(count: int = 20_000, classes: int = 5, seed: int = 0):
    """Logits whose softmax is the chance of each class, and targets drawn by it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, classes))
    targets = (random.uniform(size=(count, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return logits, targets.clip(max=classes - 1)


def loss(logits, targets, temperature: float) -> float:
    return float(functional.cross_entropy(torch.from_numpy(logits) / temperature, torch.from_numpy(targets)))


def multi_label_loss(logits, targets, temperature: float) -> float:
    scaled = torch.from_numpy(logits) / temperature
    return float(functional.binary_cross_entropy_with_logits(scaled, torch.from_numpy(targets).double()))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_logits_that_were_multiplied_are_divided_again(factor):
    logits, targets = honest()
    assert fit_temperature(logits * factor, targets) == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_logits_of_sigmoids_that_were_multiplied_are_divided_again(factor):
    random = np.random.default_rng(1)
    logits = random.normal(-1, 2, (6_000, 4))
    targets = random.uniform(size=logits.shape) < sigmoid(logits)
    for given_as in (targets, targets.astype(np.int64)):
        assert fit_temperature_multi_label(logits * factor, given_as) == pytest.approx(factor, rel=0.03)


def test_no_other_temperature_does_better():
    logits, targets = honest(2_000)
    best = fit_temperature(logits * 2.5, targets)
    tried = [loss(logits * 2.5, targets, temperature) for temperature in np.geomspace(0.05, 20, 100)]
    assert loss(logits * 2.5, targets, best) <= min(tried)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), scale=st.sampled_from([1e-6, 0.1, 1, 10, 1e4, 1e30]))
def test_a_fitted_temperature_never_does_worse_than_none(seed, count, scale):
    random = np.random.default_rng(seed)
    logits = random.normal(0, scale, (count, 3))
    targets, present = random.integers(0, 3, count), random.integers(0, 2, (count, 3))
    one, many = fit_temperature(logits, targets), fit_temperature_multi_label(logits, present)
    for temperature in (one, many):
        assert LOWEST_TEMPERATURE <= temperature <= HIGHEST_TEMPERATURE
    assert loss(logits, targets, one) <= loss(logits, targets, 1.0)
    assert multi_label_loss(logits, present, many) <= multi_label_loss(logits, present, 1.0)


def test_a_head_that_never_errs_may_be_surer_but_not_without_end():
    logits = np.eye(3, dtype=np.float32)
    # From some point on it is so sure already that nothing is gained.
    assert LOWEST_TEMPERATURE <= fit_temperature(logits, np.arange(3)) < 0.05
    assert fit_temperature_multi_label(logits - 0.5, np.eye(3, dtype=bool)) == pytest.approx(LOWEST_OF_SIGMOIDS, 1e-3)


def test_a_head_that_always_errs_is_held_back_as_far_as_is_allowed():
    assert fit_temperature(np.eye(3)[:2], np.array([1, 2])) == pytest.approx(HIGHEST_TEMPERATURE, rel=1e-3)


@pytest.mark.parametrize("shape", [(0, 4), (0, 0), (3, 1), (3, 4)])
def test_where_all_targets_are_alike_the_temperature_is_one(shape):
    logits = np.random.default_rng(0).normal(size=shape)
    assert fit_temperature(logits, np.zeros(len(logits), np.int64)) == 1.0
    assert fit_temperature_multi_label(logits, np.zeros(shape, bool)) == 1.0
    assert fit_temperature_multi_label(logits, np.ones(shape, bool)) == 1.0


def test_logits_in_which_nothing_differs_leave_the_temperature_at_one():
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 1.0


def test_the_temperature_does_not_depend_on_how_many_logits_are_looked_at_together(monkeypatch):
    logits, targets = honest(500)
    present = targets[:, None] == np.arange(5)
    whole = fit_temperature(logits, targets), fit_temperature_multi_label(logits, present)
    for chunk in (1, 5 * 64):
        monkeypatch.setattr(calibration, "_CHUNK", chunk)
        assert fit_temperature(logits, targets) == pytest.approx(whole[0], rel=1e-6)
        assert fit_temperature_multi_label(logits, present) == pytest.approx(whole[1], rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), "from 0 to 2 were asked for.* from 0 to 3"),
        (np.zeros((2, 3)), np.array([-1, 1]), "from -1 to 1"),
        (np.zeros((2, 3)), np.array([0]), r"\(2, 3\) and \(1,\)"),
        (np.array([[0, np.nan], [0, 1]]), np.array([0, 1]), "1 of 4 logits"),
    ],
)
def test_what_no_temperature_can_be_fitted_on_is_refused(logits, targets, said):
    with pytest.raises(ModelingError, match=said):
        fit_temperature(logits, targets)


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        (np.zeros((2, 3)), np.array([0, 1]), r"\(2, 3\) and \(2,\)"),
        (np.zeros((1, 2)), np.array([[0, 7]]), "from 0 to 7"),
        (np.array([[0, np.inf]]), np.array([[0, 1]]), "1 of 2 logits"),
    ],
)
def test_what_no_temperature_of_sigmoids_can_be_fitted_on_is_refused(logits, targets, said):
    with pytest.raises(ModelingError, match=said):
        fit_temperature_multi_label(logits, targets)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_probabilities_are_those_of_torch_however_large_the_logits(dtype, temperature):
    logits = np.array([[1e4, -1e4, 0], [1, 2, 3], [-1e30, -1e30, -1e30]], dtype)
    scaled = torch.from_numpy(logits).double() / temperature
    for ours, theirs in ((softmax, scaled.softmax(dim=1)), (sigmoid, scaled.sigmoid())):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            probabilities = ours(logits, temperature)
        assert probabilities.dtype == dtype
        np.testing.assert_allclose(probabilities, theirs.numpy(), rtol=1e-6, atol=1e-12)


def test_probabilities_leave_the_logits_as_they_were():
    logits = np.array([[1.0, 2.0]])
    softmax(logits, 2.0), sigmoid(logits, 2.0)
    assert logits.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("ours", [softmax, sigmoid])
def test_a_temperature_that_is_not_above_zero_is_refused(ours, temperature):
    with pytest.raises(ModelingError, match=str(temperature)):
        ours(np.zeros((1, 2)), temperature)


def test_an_expected_calibration_error_is_that_computed_by_hand():
    confidences = np.array([0.95, 0.85, 0.75, 0.15])
    is_right = np.array([True, False, True, False])
    # Upper bin: 2 of 3 right, sure by 0.85. Lower bin: none right, sure by 0.15.
    by_hand = 3 / 4 * abs(2 / 3 - 0.85) + 1 / 4 * 0.15
    assert expected_calibration_error(confidences, is_right, bins=2) == pytest.approx(by_hand)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_an_expected_calibration_error_is_that_of_torchmetrics(bins, factor):
    logits, targets = honest(3_000)
    probabilities = softmax(logits * factor)
    theirs = MulticlassCalibrationError(num_classes=5, n_bins=bins, norm="l1")
    theirs.update(torch.from_numpy(probabilities), torch.from_numpy(targets))
    ours = expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets, bins)
    assert ours == pytest.approx(float(theirs.compute()), abs=1e-6)


def test_what_is_on_an_edge_is_in_the_bin_below_and_all_from_0_to_1_is_in_a_bin():
    found = reliability(np.array([0.0, 0.25, 0.5, 0.50001, 1.0]), np.array([True, False, True, False, True]), bins=4)
    assert found.lower.tolist() == [0, 0.25, 0.5, 0.75]
    assert found.upper.tolist() == [0.25, 0.5, 0.75, 1]
    assert found.count.tolist() == [2, 1, 1, 1]
    assert found.mean_confidence.tolist() == [0.125, 0.5, 0.50001, 1]
    assert found.accuracy.tolist() == [0.5, 1, 0, 1]


def test_a_bin_without_answers_says_that_nobody_knows():
    found = reliability(np.array([0.9], np.float32), np.array([True]), bins=2)
    assert found.count.tolist() == [0, 1]
    assert np.isnan([found.mean_confidence[0], found.accuracy[0]]).all()


def test_of_no_answers_nobody_knows_how_well_a_head_is_calibrated():
    assert math.isnan(expected_calibration_error(np.empty(0), np.empty(0, bool)))
    assert reliability(np.empty(0), np.empty(0, bool)).count.sum() == 0


@pytest.mark.parametrize(
    ("confidences", "bins", "said"),
    [
        (np.array([0.5, 97.0]), 15, "1 of 2 confidences.*97"),
        (np.array([np.nan, 0.5]), 15, "1 of 2 confidences.*nan"),
        (np.array([0.5]), 15, r"\(1,\) and \(2,\)"),
        (np.array([0.5, 0.5]), 0, "at least one bin, not into 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(confidences, bins, said):
    with pytest.raises(ModelingError, match=said):
        expected_calibration_error(confidences, np.array([True, False]), bins)
