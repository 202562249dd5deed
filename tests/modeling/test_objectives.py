"""Values by formulas written out in NumPy, class by class; gradients by differences."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling import objectives
from modeling.errors import TrainingError
from modeling.objectives import OBJECTIVES, Objective, cost_matrix
from modeling.problem import Problem

PROBLEM = Problem(
    dimension=2,
    class_counts=(50, 10, 3, 0),
    genera=("Vipera", "Vipera", "Natrix", None),
    venomous=(True, True, False, False),
)
LOGITS = np.array([[1.5, -0.5, 0.3, 0.9], [-2.0, 0.7, 1.1, -0.4], [0.2, 0.1, -1.3, 2.4]])
CLASSES = np.array([0, 2, 1])
LABELS = np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]])  # nobody has seen class 2
SHARES = np.array([[0.7, 0.3, 0, 0], [0, 0, 1, 0], [0.25, 0.25, 0.25, 0.25]])
NO_SMOOTHING = {
    "cross_entropy": {"label_smoothing": 0.0},
    "asymmetric_single": {"smoothing": 0.0},
    "soft_targets": {"smoothing": 0.0},
}
MULTI_LABEL = [name for name, kind in OBJECTIVES.items() if kind.is_multi_label]
SHARING = [name for name, kind in OBJECTIVES.items() if kind.takes_shares]
EVERY_SETTING = [(name, setting) for name, kind in OBJECTIVES.items() for setting in kind.usual]
# Powers whose slope at 0 is infinite, and margins that are not there.
SHARP = {
    "asymmetric_single": {"gamma_positive": 0.5, "gamma_negative": 0.5},
    "asymmetric": {"gamma_positive": 0.5, "gamma_negative": 0.5, "clip": 0.0},
    "hill": {"gamma": 0.5},
    "splc": {"gamma": 0.5, "change_epoch": 0},
    "class_balanced": {"beta": 0.0},
    "logit_norm": {"temperature": 0.01},
    "sigmoid_f1": {"slope": 10.0, "offset": -1.0},
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than sums this small."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def value(name: str, settings: dict[str, Any] | None = None, targets: np.ndarray = CLASSES, epoch: int = 0) -> float:
    objective = objectives.of(name, PROBLEM, settings or {})
    objective.begin_epoch(epoch)
    return objective(torch.from_numpy(LOGITS), torch.from_numpy(targets)).item()


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean_over_rows(of_row: Callable[[np.ndarray, Any], float], targets: np.ndarray = CLASSES) -> Any:
    return pytest.approx(np.mean([of_row(z, y) for z, y in zip(LOGITS, targets, strict=True)]), rel=1e-6)


def mean_of_sums(of_present: Callable[[float], float], of_absent: Callable[[float], float]) -> Any:
    return mean_over_rows(
        lambda z, labels: sum(of_present(x) if y else of_absent(x) for x, y in zip(z, labels, strict=True)), LABELS
    )


def test_cross_entropy_spreads_its_smoothing_over_all_classes():
    def of_row(z: np.ndarray, y: int) -> float:
        log_p = np.log(softmax(z))
        return -0.95 * log_p[y] - 0.05 * log_p.mean()

    assert value("cross_entropy") == mean_over_rows(of_row)


def test_asymmetric_single_weighs_other_classes_by_their_own_probability():
    def of_row(z: np.ndarray, y: int) -> float:
        total = 0.0
        for c, p in enumerate(softmax(z)):
            t = float(c == y)
            weight = (1 - p * t - (1 - p) * (1 - t)) ** (2.0 * t + 4.0 * (1 - t))
            total -= (0.9 * t + 0.1 / 4) * weight * math.log(p)
        return total

    assert value("asymmetric_single", {"gamma_positive": 2.0}) == mean_over_rows(of_row)


def test_logit_norm_is_the_cross_entropy_of_logits_on_a_sphere():
    def of_row(z: np.ndarray, y: int) -> float:
        return -math.log(softmax(z / math.sqrt((z**2).sum()) / 0.04)[y])

    assert value("logit_norm") == mean_over_rows(of_row)


def test_logit_norm_is_not_made_smaller_by_being_surer():
    objective = objectives.of("logit_norm", PROBLEM, {})
    logits, targets = torch.from_numpy(LOGITS), torch.from_numpy(CLASSES)
    assert objective(7 * logits, targets).item() == pytest.approx(objective(logits, targets).item())


def test_class_balanced_weighs_by_effective_numbers_and_means_over_photographs():
    effective = [(1 - 0.9**count) / (1 - 0.9) for count in (50, 10, 3, 1)]
    weights = np.array([1 / number for number in effective])
    weights *= 4 / weights.sum()
    expected = mean_over_rows(lambda z, y: -weights[y] * math.log(softmax(z)[y]))
    assert value("class_balanced", {"beta": 0.9}) == expected


def test_logit_adjusted_adds_the_log_of_the_prior():
    prior = np.array([50, 10, 3, 1]) / 64
    expected = mean_over_rows(lambda z, y: -math.log(softmax(z + 0.5 * np.log(prior))[y]))
    assert value("logit_adjusted", {"tau": 0.5}) == expected


def seesaw_factors(z: np.ndarray, y: int) -> np.ndarray:
    counts, p = [50, 10, 3, 1], softmax(z)
    factors = []
    for c in range(4):
        mitigation = (counts[c] / counts[y]) ** 0.8 if counts[y] > counts[c] else 1.0
        compensation = (p[c] / p[y]) ** 2 if p[c] > p[y] else 1.0
        factors.append(mitigation * compensation)
    return np.array(factors)


def test_seesaw_scales_each_other_class_by_rarity_and_by_how_wrongly_it_is_chosen():
    def of_row(z: np.ndarray, y: int) -> float:
        return -math.log(math.exp(z[y]) / (seesaw_factors(z, y) * np.exp(z)).sum())

    assert value("seesaw") == mean_over_rows(of_row)


def test_seesaw_learns_nothing_from_its_own_factors():
    logits = torch.from_numpy(LOGITS).requires_grad_()
    objectives.of("seesaw", PROBLEM, {})(logits, torch.from_numpy(CLASSES)).backward()
    expected = []
    for z, y in zip(LOGITS, CLASSES, strict=True):
        scaled = seesaw_factors(z, y) * np.exp(z)
        expected.append((scaled / scaled.sum() - np.eye(4)[y]) / 3)
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-6)


def test_soft_targets_give_kin_their_share_before_strangers():
    # 0 and 1 are of one genus and both venomous; 2 is alone in its genus, and the genus of 3 is not known.
    rows = [[0.8, 0.15, 0.025, 0.025], [0.15, 0.8, 0.025, 0.025], [1 / 15, 1 / 15, 0.8, 1 / 15]]
    expected = mean_over_rows(lambda z, y: -(rows[y] * np.log(softmax(z))).sum())
    assert value("soft_targets", {"smoothing": 0.2, "genus_share": 0.75}) == expected


@pytest.mark.parametrize(
    ("genera", "venomous", "first_row"),
    [
        (("a", "a", "a", "b", None), (), [0.9, 0.025, 0.025, 0.025, 0.025]),
        (("a", "a", "a", "b", None), (True, True, False, False, False), [0.9, 0.05, 1 / 60, 1 / 60, 1 / 60]),
        (("a", "b", "c", "d", "e"), (), [0.9, 0.025, 0.025, 0.025, 0.025]),  # no kin: strangers have all
        ((None, None, "c", "d", "e"), (), [0.9, 0.025, 0.025, 0.025, 0.025]),  # two unknown genera are not one
        (("a", "a", "a", "a", "a"), (), [0.9, 0.025, 0.025, 0.025, 0.025]),  # no strangers: kin has all
        (("a", "a"), (), [0.9, 0.1]),
        (("a", "b"), (), [0.9, 0.1]),
        (("a",), (), [1.0]),  # nobody to give to
    ],
)
def test_kin_is_of_one_genus_and_of_one_venomousness_where_that_is_known(
    genera: tuple[str | None, ...], venomous: tuple[bool, ...], first_row: list[float]
):
    problem = Problem(2, (1,) * len(genera), genera=genera, venomous=venomous)
    softened = objectives.SoftTargets.of(problem, {}).softened(torch.eye(len(genera)))
    np.testing.assert_allclose(softened[0].numpy(), first_row, rtol=1e-5)
    np.testing.assert_allclose(softened.sum(dim=1).numpy(), 1.0, rtol=1e-6)


def test_expected_cost_is_that_of_a_guess_drawn_from_the_probabilities():
    costs = [[0, 2, 5, 5], [2, 0, 5, 5], [2, 2, 0, 1], [2, 2, 1, 0]]
    expected = mean_over_rows(lambda z, y: (softmax(z) * costs[y]).sum() - 0.5 * math.log(softmax(z)[y]))
    assert value("expected_cost", {"cross_entropy_weight": 0.5}) == expected


def test_a_cost_matrix_of_ones_own_is_read_by_rows_of_what_is_true():
    costs = [[0, 1, 2, 3.5], [4, 0, 5, 6], [7, 8, 0, 9], [10, 11, 12, 0]]
    expected = mean_over_rows(lambda z, y: (softmax(z) * costs[y]).sum())
    assert value("expected_cost", {"cost_matrix": costs, "cross_entropy_weight": 0.0}) == expected


def test_costs_are_those_of_snakeclef():
    assert cost_matrix((True, False, True, False)).tolist() == [[0, 5, 2, 5], [2, 0, 2, 1], [2, 5, 0, 5], [2, 1, 2, 0]]
    assert cost_matrix((False, True), costs=(1, 7, 9, 1)).tolist() == [[0, 7], [9, 0]]


def test_binary_cross_entropy_sums_over_classes_and_means_over_photographs():
    expected = mean_of_sums(lambda x: -math.log(sigmoid(x)), lambda x: -math.log(1 - sigmoid(x)))
    assert value("binary_cross_entropy", targets=LABELS) == expected


@pytest.mark.parametrize(("gamma", "clip"), [(3.0, 0.3), (0.0, 0.3), (2.0, 0.0), (4.0, 0.05)])
def test_asymmetric_discounts_what_is_surely_absent(gamma: float, clip: float):
    def of_absent(x: float) -> float:
        m = max(sigmoid(x) - clip, 0)
        return -(m**gamma) * math.log(1 - m)

    settings = {"gamma_negative": gamma, "gamma_positive": 1.5, "clip": clip}
    expected = mean_of_sums(lambda x: -((1 - sigmoid(x)) ** 1.5) * math.log(sigmoid(x)), of_absent)
    assert value("asymmetric", settings, LABELS) == expected


def test_hill_asks_less_the_surer_an_absent_class_is_scored():
    expected = mean_of_sums(
        lambda x: -((1 - sigmoid(x - 1)) ** 2) * math.log(sigmoid(x - 1)),
        lambda x: (1.5 - sigmoid(x)) * sigmoid(x) ** 2,
    )
    assert value("hill", targets=LABELS) == expected


def focal(x: float) -> float:
    return -((1 - sigmoid(x)) ** 2) * math.log(sigmoid(x))


def test_splc_believes_labels_before_its_epoch():
    assert value("splc", {"change_epoch": 3}, LABELS, epoch=2) == mean_of_sums(
        lambda x: focal(x - 1), lambda x: focal(-x)
    )


def test_splc_believes_confident_predictions_from_its_epoch_on():
    # Without the margin: that is asked of labels, not of what the head has told itself.
    expected = mean_of_sums(lambda x: focal(x - 1), lambda x: focal(x) if sigmoid(x) > 0.6 else focal(-x))
    assert value("splc", {"change_epoch": 3}, LABELS, epoch=3) == expected
    assert value("splc", {}, LABELS, epoch=1) == expected


def test_sigmoid_f1_is_the_mean_over_classes_that_the_batch_holds():
    losses = []
    for c in (0, 1, 3):
        s = [sigmoid(2 * (x + 0.5)) for x in LOGITS[:, c]]
        y = LABELS[:, c]
        tp = sum(a * b for a, b in zip(s, y, strict=True))
        fp = sum(a * (1 - b) for a, b in zip(s, y, strict=True))
        fn = sum((1 - a) * b for a, b in zip(s, y, strict=True))
        losses.append(1 - 2 * tp / (2 * tp + fp + fn))
    settings = {"slope": 2.0, "offset": 0.5}
    assert value("sigmoid_f1", settings, LABELS) == pytest.approx(np.mean(losses), rel=1e-6)


def test_sigmoid_f1_of_a_batch_without_any_species_asks_nothing():
    logits = torch.randn(3, 4, requires_grad=True)
    loss = objectives.of("sigmoid_f1", PROBLEM, {})(logits, torch.zeros(3, 4))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def targets_of(objective: Objective) -> list[Tensor]:
    """All kinds of targets that an objective takes."""
    kinds = [torch.from_numpy(CLASSES)]
    if objective.is_multi_label:
        kinds.append(torch.from_numpy(LABELS))
    elif objective.takes_shares:
        kinds.append(torch.from_numpy(SHARES))
    return kinds


@pytest.mark.parametrize("settings", [{}, SHARP], ids=["usual", "sharp"])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "seesaw"])
def test_the_gradient_is_that_of_the_value(name: str, settings: dict[str, Any]):
    objective = objectives.of(name, PROBLEM, settings.get(name, {}))
    for targets in targets_of(objective):
        logits = torch.from_numpy(LOGITS).requires_grad_()
        assert torch.autograd.gradcheck(lambda z, y=targets: objective(z, y), (logits,))


@pytest.mark.parametrize("size", [100, 1e4])
@pytest.mark.parametrize("settings", [{}, SHARP], ids=["usual", "sharp"])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_logits_far_out_give_finite_values_and_gradients(name: str, settings: dict[str, Any], size: float):
    """Every pattern of signs, against every class; one class has no photograph."""
    objective = objectives.of(name, PROBLEM, settings.get(name, {}))
    objective.begin_epoch(1)
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=4)))
    for true in range(4):
        logits = (size * signs).requires_grad_()
        loss = objective(logits, torch.full((len(signs),), true))
        loss.backward()
        assert loss.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        # One row alone: where a whole batch is scored as one, others would hide it.
        assert all(objective(row[None], torch.tensor([true])).isfinite() for row in logits.detach())


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_more_than_none(name: str):
    objective = objectives.of(name, PROBLEM, NO_SMOOTHING.get(name, {}))
    truth = LABELS if objective.is_multi_label else np.eye(4)[CLASSES]
    targets = torch.from_numpy(LABELS if objective.is_multi_label else CLASSES)
    perfect = torch.from_numpy(40 * truth - 20)
    right, undecided, wrong = (
        objective(logits, targets).item() for logits in (perfect, torch.zeros(3, 4), perfect.roll(1, dims=1))
    )
    assert right == pytest.approx(0, abs=1e-4)
    assert right < undecided < wrong


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_order_of_classes_and_of_photographs_changes_nothing(name: str):
    order, rows = [2, 0, 3, 1], [1, 2, 0]
    turned = replace(
        PROBLEM,
        **{part: tuple(getattr(PROBLEM, part)[c] for c in order) for part in ("class_counts", "genera", "venomous")},
    )
    first, second = objectives.of(name, PROBLEM, {}), objectives.of(name, turned, {})
    first.begin_epoch(1)
    second.begin_epoch(1)
    for targets in targets_of(first):
        moved = torch.tensor([order.index(c) for c in targets]) if targets.ndim == 1 else targets[:, order]
        logits = torch.from_numpy(LOGITS)
        expected = first(logits, targets).item()
        assert second(logits[:, order][rows], moved[rows]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", SHARING)
def test_a_class_index_is_a_share_of_one(name: str):
    assert value(name, targets=np.eye(4)[CLASSES], epoch=1) == pytest.approx(value(name, epoch=1), rel=1e-9)


@pytest.mark.parametrize("name", [name for name in SHARING if name != "sigmoid_f1"])
def test_a_mixed_target_costs_the_mixture_of_costs(name: str):
    one, other = np.eye(4)[[0, 1, 2]], np.eye(4)[[3, 1, 0]]
    mixed = 0.3 * value(name, targets=one, epoch=1) + 0.7 * value(name, targets=other, epoch=1)
    assert value(name, targets=0.3 * one + 0.7 * other, epoch=1) == pytest.approx(mixed, rel=1e-9)


@pytest.mark.parametrize("name", MULTI_LABEL)
def test_labels_may_be_whole_numbers(name: str):
    assert value(name, targets=LABELS.astype(np.int64)) == value(name, targets=LABELS)


def another(name: str, setting: str) -> Any:
    """A value for a setting that is not the usual one."""
    usual = OBJECTIVES[name].usual[setting]
    return [[0.0, 1, 2, 3], [4, 0, 5, 6], [7, 8, 0, 9], [1, 2, 3, 0]] if usual is None else usual * 0.5 + 0.2


@pytest.mark.parametrize(("name", "setting"), [each for each in EVERY_SETTING if each[1] != "change_epoch"])
def test_each_setting_is_heard_and_comes_back_in_the_settings(name: str, setting: str):
    targets = LABELS if OBJECTIVES[name].is_multi_label else CLASSES
    changed = {setting: another(name, setting)}
    kept = json.loads(json.dumps(objectives.of(name, PROBLEM, changed).settings()))
    assert kept == OBJECTIVES[name].usual | changed
    assert value(name, kept, targets, epoch=1) == value(name, changed, targets, epoch=1)
    assert value(name, kept, targets, epoch=1) != value(name, {}, targets, epoch=1)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_setting_that_is_unknown_is_refused(name: str):
    with pytest.raises(TrainingError, match=f"'{name}' has no setting 'smoothness'"):
        objectives.of(name, PROBLEM, {"smoothness": 1.0})


@pytest.mark.parametrize(("name", "setting"), [each for each in EVERY_SETTING if each[1] != "cost_matrix"])
@pytest.mark.parametrize("number", [-2_000_000, 2_000_000, math.nan])
def test_a_setting_that_makes_no_sense_is_refused(name: str, setting: str, number: float):
    with pytest.raises(TrainingError, match=f"the setting '{setting}' of '{name}' is"):
        objectives.of(name, PROBLEM, {setting: number})


@pytest.mark.parametrize(
    ("name", "setting", "number"),
    [("class_balanced", "beta", 1.0), ("logit_norm", "temperature", 0), ("asymmetric", "clip", 1.1)],
)
def test_a_setting_beyond_its_own_limits_is_refused_with_them(name: str, setting: str, number: float):
    low, high = OBJECTIVES[name].limits[setting]
    with pytest.raises(TrainingError, match=f"'{setting}' of '{name}' is {number}; it is from {low} to {high}"):
        objectives.of(name, PROBLEM, {setting: number})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0, 1], [1, 0]], r"rows of \[2\] numbers and 2 rows; it is of 4 x 4 classes"),
        ([[0, 1, 1, 1]] * 3 + [[0, 1, 1]], r"rows of \[3, 4\] numbers and 4 rows"),
        ([[0, 1, 1, math.inf]] * 4, "holds inf; costs are numbers"),
        ([[0, 1, 1, "1"]] * 4, "holds '1'; costs are numbers"),
        ("venomous", "is 'venomous'; it is a list of lists"),
        ([1, 2, 3, 4], "is a list of lists"),
    ],
)
def test_a_cost_matrix_that_is_none_is_refused(rows: Any, words: str):
    with pytest.raises(TrainingError, match=words):
        objectives.of("expected_cost", PROBLEM, {"cost_matrix": rows})


def test_what_an_objective_has_to_know_and_does_not_is_said():
    with pytest.raises(TrainingError, match="which of 4 classes are venomous; say so, or set 'cost_matrix'"):
        objectives.of("expected_cost", replace(PROBLEM, venomous=()), {})
    with pytest.raises(TrainingError, match="has to know the genera of 4 classes, and nobody does"):
        objectives.of("soft_targets", replace(PROBLEM, genera=()), {})


def test_costs_of_ones_own_need_no_venomousness():
    objectives.of("expected_cost", replace(PROBLEM, venomous=()), {"cost_matrix": [[0.0] * 4] * 4})


def test_an_unknown_objective_is_answered_with_the_nearest_names_first():
    with pytest.raises(
        TrainingError, match="no objective 'assymetric'; there are, nearest first, asymmetric, asymmetric_s"
    ):
        objectives.of("assymetric", PROBLEM, {})


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_logits_and_targets_of_other_shapes_are_refused(name: str):
    objective = objectives.of(name, PROBLEM, {})
    with pytest.raises(TrainingError, match=rf"'{name}' is for logits \(3, 4\), and was given \(3, 5\)"):
        objective(torch.zeros(3, 5), torch.zeros(3, dtype=torch.long))
    for shape in [(2,), (3, 1), (3, 5), (2, 4)] + [(3, 4)] * (not objective.takes_shares):
        with pytest.raises(
            TrainingError, match=rf"'{name}' takes class indices \(3,\).* was given targets \({shape[0]}"
        ):
            objective(torch.zeros(3, 4), torch.zeros(shape))


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_autocast_changes_no_digit(name: str):
    objective = objectives.of(name, PROBLEM, {})
    logits = torch.from_numpy(LOGITS).bfloat16()
    for targets in targets_of(objective):
        with torch.autocast("cpu", torch.bfloat16):
            under = objective(logits, targets)
        assert under.dtype == torch.float32
        assert torch.equal(under, objective(logits.float(), targets))


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_constants_follow_the_module_to_its_device_and_into_no_checkpoint(name: str, monkeypatch: pytest.MonkeyPatch):
    # The device that holds shapes only refuses to compute with tensors that stayed behind; autocast does not know it.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    objective = objectives.of(name, PROBLEM, {}).to("meta")
    assert not objective.state_dict()
    for targets in targets_of(objective):
        assert objective(torch.zeros(3, 4, device="meta"), targets.to("meta")).shape == ()
