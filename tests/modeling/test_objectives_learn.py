"""What each objective is for, on drawn problems: a linear layer that begins at zero, and all examples in each step."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modeling import objectives
from modeling.objectives import cost_matrix
from modeling.problem import Problem

TAIL = Problem(dimension=2, class_counts=(600, 60, 12))
STEPS_OF_AN_EPOCH = 100


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than sums this small."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def learnt(name: str, problem: Problem, features: Tensor, targets: Tensor, **settings: Any) -> nn.Linear:
    layer = nn.Linear(problem.dimension, problem.class_count)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    objective = objectives.of(name, problem, settings)
    adam = torch.optim.Adam(layer.parameters(), lr=0.05)
    for step in range(3 * STEPS_OF_AN_EPOCH):
        objective.begin_epoch(step // STEPS_OF_AN_EPOCH)
        adam.zero_grad()
        objective(layer(features), targets).backward()
        adam.step()
    return layer.requires_grad_(False)


def drawn(centres: Tensor, counts: tuple[int, ...], seed: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features around the centre of each class (C, D), and class indices."""
    classes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = torch.randn(len(classes), centres.shape[1], generator=torch.Generator().manual_seed(seed))
    return centres[classes] + spread * noise, classes


@cache
def tail_logits(name: str, **settings: Any) -> tuple[Tensor, Tensor]:
    """Logits and classes of as many unseen photographs of each class, of which some were rare in training."""
    centres = torch.tensor([[0.0, 0], [2, 0], [0, 2]])
    layer = learnt(name, TAIL, *drawn(centres, TAIL.class_counts, seed=0), **settings)
    features, classes = drawn(centres, (500, 500, 500), seed=1)
    return layer(features), classes


def recall(logits: Tensor, classes: Tensor, of: int) -> float:
    return (logits.argmax(dim=1) == classes)[classes == of].float().mean().item()


@pytest.mark.parametrize("name", ["class_balanced", "logit_adjusted", "seesaw"])
def test_rare_classes_are_found_that_cross_entropy_gives_up(name: str):
    plain = tail_logits("cross_entropy", label_smoothing=0.0)
    balanced = tail_logits(name)
    for rare in (1, 2):
        assert recall(*balanced, of=rare) > recall(*plain, of=rare) + 0.2
    assert (balanced[0].argmax(dim=1) == balanced[1]).float().mean() > 0.65


def test_seesaw_gives_up_less_of_the_common_class_than_a_prior():
    assert recall(*tail_logits("seesaw"), of=0) > recall(*tail_logits("logit_adjusted"), of=0) + 0.1


def test_a_prior_that_is_learnt_with_is_missing_from_the_logits():
    """Menon et al.: a head that was told the prior leaves it out. All classes are as common, then, as at prediction."""
    predicted = tail_logits("logit_adjusted")[0].argmax(dim=1).bincount(minlength=3)
    assert predicted.min() > 0.7 * 500


def test_smoothing_keeps_logits_small():
    smooth, sharp = (tail_logits("cross_entropy", label_smoothing=share)[0] for share in (0.1, 0.0))
    assert smooth.abs().max() < 0.8 * sharp.abs().max()


def test_a_head_that_begins_at_zero_learns_with_logit_norm():
    centres = torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    features, classes = drawn(centres, (50,) * 10, seed=1)
    layer = learnt("logit_norm", Problem(16, (50,) * 10), features, classes)
    # Divided by the norm alone, however small, it stays at 0.83: the first step is all that Adam remembers.
    assert (layer(features).argmax(dim=1) == classes).float().mean() > 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_expected_cost_takes_fewer_venomous_for_harmless(seed: int):
    venomous = (False, True, False, True)
    problem = Problem(2, (150,) * 4, venomous=venomous)
    centres = torch.tensor([[0.0, 0], [1.5, 0], [0, 1.5], [1.5, 1.5]])
    train, (features, true) = drawn(centres, (150,) * 4, seed), drawn(centres, (1000,) * 4, seed + 10)
    is_venomous, costs = torch.tensor(venomous), cost_matrix(venomous)

    def mistakes(name: str, **settings: Any) -> tuple[int, float]:
        said = learnt(name, problem, *train, **settings)(features).argmax(dim=1)
        return int((is_venomous[true] & ~is_venomous[said]).sum()), float(costs[true, said].sum())

    dangerous, cost = mistakes("expected_cost")
    plainly_dangerous, plain_cost = mistakes("cross_entropy", label_smoothing=0.0)
    assert dangerous < 0.8 * plainly_dangerous
    assert cost < 0.95 * plain_cost


@cache
def with_missing_labels(name: str) -> tuple[float, float, float]:
    """Recall, precision and F1 at a probability of one half; 7 of 10 positives are labelled absent in training."""
    draw = torch.Generator().manual_seed(0)
    directions = nn.functional.normalize(torch.randn(6, 4, generator=draw))
    features, unseen = torch.randn(600, 4, generator=draw), torch.randn(1000, 4, generator=draw)
    labels = (features @ directions.T > 0.8) & (torch.rand(600, 6, generator=draw) > 0.7)
    layer = learnt(name, Problem(4, (100,) * 6), features, labels)
    said, true = layer(unseen) > 0, unseen @ directions.T > 0.8
    found = (said & true).sum().item()
    return found / true.sum().item(), found / said.sum().item(), 2 * found / (said.sum() + true.sum()).item()


@pytest.mark.parametrize("name", ["asymmetric", "hill", "splc"])
def test_species_that_labels_miss_are_found_and_few_others(name: str):
    recall, precision, _ = with_missing_labels(name)
    assert recall > with_missing_labels("binary_cross_entropy")[0] + 0.3
    assert precision > 0.9


@pytest.mark.parametrize("name", ["hill", "splc"])
def test_what_was_made_for_missing_labels_beats_what_was_not(name: str):
    assert with_missing_labels(name)[2] > with_missing_labels("asymmetric")[2] + 0.05


def test_soft_f1_is_better_at_f1_than_likelihood_is():
    assert with_missing_labels("sigmoid_f1")[2] > with_missing_labels("binary_cross_entropy")[2] + 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_soft_targets_keep_mistakes_in_the_genus_where_photographs_are_few(seed: int):
    draw = torch.Generator().manual_seed(seed)
    genera = torch.arange(8) // 2
    centres = torch.randn(4, 20, generator=draw)[genera] + 0.7 * torch.randn(8, 20, generator=draw)
    problem = Problem(20, (5,) * 8, genera=tuple(str(genus.item()) for genus in genera))
    train = drawn(centres, (5,) * 8, seed, spread=1.5)
    features, true = drawn(centres, (300,) * 8, seed + 10, spread=1.5)

    def kept(name: str, **settings: Any) -> float:
        said = learnt(name, problem, *train, **settings)(features).argmax(dim=1)
        return (genera[said] == genera[true])[said != true].float().mean().item()

    evenly = kept("cross_entropy", label_smoothing=0.1)
    assert kept("soft_targets", smoothing=0.1) > evenly + 0.03
    assert kept("soft_targets", smoothing=0.1, genus_share=1.0) > max(
        evenly, kept("cross_entropy", label_smoothing=0.0)
    )
