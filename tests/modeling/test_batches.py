from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.batches import Batches, pseudo_quadrats
from modeling.recipe import Recipe

CPU = torch.device("cpu")


def batches(targets: list[int] | Tensor, class_count: int, recipe: Recipe) -> Batches:
    """Batches of features (N, 2): the number of the example, and its class index."""
    targets = torch.as_tensor(targets)
    features = torch.stack([torch.arange(len(targets)), targets], dim=1).float()
    return Batches(features, targets, class_count, recipe, CPU)


def numbers(epoch: Batches) -> list[int]:
    return [int(row) for features, _ in epoch for row in features[:, 0]]


# Order


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 130, 257])
def test_every_example_is_seen_once_in_an_epoch(count: int):
    drawn = batches([0] * count, 1, Recipe(batch_size=64))
    assert sorted(numbers(drawn)) == sorted(numbers(drawn)) == list(range(count))


def test_a_target_stays_with_its_features():
    drawn = batches(torch.arange(100) % 7, 7, Recipe(batch_size=16))
    for features, targets in drawn:
        assert torch.equal(features[:, 1].long(), targets)
        assert targets.dtype == torch.int64


def test_epochs_differ_and_seeds_repeat():
    first, again, other = (batches([0] * 50, 1, Recipe(seed=seed)) for seed in (3, 3, 4))
    epochs = [numbers(first), numbers(first)]
    assert epochs[0] != epochs[1]
    torch.manual_seed(99)
    assert [numbers(again), numbers(again)] == epochs
    assert numbers(other) != epochs[0]


@pytest.mark.parametrize("size", [2, 3, 4, 64])
@pytest.mark.parametrize("count", [2, 3, 5, 7, 9, 65, 129])
def test_no_batch_is_of_one_example(size: int, count: int):
    drawn = batches([0] * count, 1, Recipe(batch_size=size))
    sizes = [len(targets) for _, targets in drawn]
    assert len(sizes) == len(drawn)
    assert min(sizes) >= 2
    # One more at most: an odd one out has to go somewhere.
    assert max(sizes) <= size + 1
    assert max(sizes) - min(sizes) <= 1


def test_a_single_example_is_a_batch_all_the_same():
    assert [len(targets) for _, targets in batches([0], 1, Recipe())] == [1]


# Sampling


@pytest.mark.parametrize(("sampling", "shares"), [("class_balanced", [0.5, 0.5]), ("shuffled", [100 / 101, 1 / 101])])
def test_class_balanced_draws_the_rare_species_as_often_as_the_common_one(sampling: str, shares: list[float]):
    # A common species of 1,000 photographs and a rare one of 10; class 1 has none in training.
    drawn = batches([0] * 1000 + [2] * 10, 3, Recipe(sampling=sampling))
    counts = Counter(int(target) for _ in range(10) for _, targets in drawn for target in targets)
    assert counts.total() == 10 * 1010
    assert [counts[0] / counts.total(), counts[2] / counts.total()] == pytest.approx(shares, abs=0.03)
    assert counts[1] == 0


def test_class_balanced_draws_all_photographs_of_a_species_alike():
    drawn = batches([0] * 30 + [1] * 5, 2, Recipe(sampling="class_balanced"))
    counts = Counter(number for _ in range(200) for number in numbers(drawn))
    common, rare = [counts[at] for at in range(30)], [counts[at] for at in range(30, 35)]
    assert min(common) > 0.7 * np.mean(common)
    assert max(common) < 1.3 * np.mean(common)
    assert min(rare) > 0.85 * np.mean(rare)
    assert max(rare) < 1.15 * np.mean(rare)


def test_class_balanced_epochs_differ_and_seeds_repeat():
    recipe = Recipe(sampling="class_balanced")
    first, again = (batches([0] * 20 + [1] * 5, 2, recipe) for _ in range(2))
    epoch = numbers(first)
    assert numbers(again) == epoch
    assert numbers(again) != epoch


# Mixup


def mixed(alpha: float, count: int = 40, **choices: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of one-hot features, of which a mixture shows what it was made of."""
    targets = torch.arange(count) % 5
    features = torch.eye(5)[targets]
    return list(Batches(features, targets, 5, Recipe(mixup=alpha, batch_size=2, **choices), CPU))


def test_what_is_mixed_has_the_shares_of_its_two_examples():
    for features, shares in mixed(1.0):
        # Features say by one-hot what the shares have to be, whichever two were mixed.
        torch.testing.assert_close(shares, features)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(shares)))
        assert ((shares > 0).sum(dim=1) <= 2).all()
        assert shares.min() >= 0


def test_a_mixture_lies_between_its_two_examples():
    targets = torch.tensor([0, 1])
    ends = torch.tensor([[1.0, 10], [3.0, -10]])
    for features, shares in Batches(ends, targets, 2, Recipe(mixup=1.0), CPU):
        torch.testing.assert_close(features, shares @ ends)


def larger_shares(alpha: float) -> np.ndarray:
    """The larger share of two examples that are mixed, many times; 1 where each was mixed with itself."""
    drawn = Batches(torch.eye(2), torch.arange(2), 2, Recipe(mixup=alpha), CPU)
    return np.array([float(shares.max()) for _ in range(2000) for _, shares in drawn])


def test_shares_are_drawn_from_the_beta_distribution_of_alpha():
    """Of Beta(a, a) the larger of the two shares is 3/4 on average for a = 1, and nearer to a half for more."""
    even, alike = larger_shares(1.0), larger_shares(50.0)
    assert even[even < 1].mean() == pytest.approx(0.75, abs=0.02)
    assert alike[alike < 1].mean() == pytest.approx(0.54, abs=0.02)


def test_a_small_alpha_mixes_next_to_nothing():
    assert (larger_shares(0.001) > 0.99).mean() > 0.97


def test_mixtures_differ_between_epochs_and_repeat_with_the_seed():
    def epochs() -> list[Tensor]:
        drawn = Batches(torch.eye(5), torch.arange(5), 5, Recipe(mixup=0.4), CPU)
        return [shares for _ in range(2) for _, shares in drawn]

    first, second = epochs()
    again = epochs()
    assert not torch.equal(first, second)
    assert torch.equal(torch.stack(again), torch.stack([first, second]))


# Pseudo-quadrats


def quadrats(targets: Tensor, class_count: int, most: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Of one-hot features: the sum shows which species it was made of."""
    return pseudo_quadrats(
        torch.eye(class_count)[targets], targets, class_count, most, torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_species_of_a_quadrat_are_those_whose_embeddings_are_in_it(most: int):
    targets = torch.arange(400) % 6
    features, species = quadrats(targets, 6, most)
    assert torch.equal(species, (features > 0).float())
    assert species.any(dim=1).all()


def test_a_quadrat_holds_the_plant_that_it_was_drawn_for():
    targets = torch.arange(300) % 6
    _, species = quadrats(targets, 6, 4)
    assert (species[torch.arange(300), targets] == 1).all()


def test_a_quadrat_is_the_mean_of_its_plants():
    features, _ = quadrats(torch.arange(300) % 6, 6, 4)
    torch.testing.assert_close(features.sum(dim=1), torch.ones(300))
    # Of one to four plants the parts are quarters, thirds, halves or the whole.
    twelfths = features * 12
    torch.testing.assert_close(twelfths, twelfths.round(), atol=1e-4, rtol=0)


def test_each_number_of_plants_up_to_the_most_is_as_likely():
    # As many classes as plants, so that two plants of a quadrat are seldom of one species.
    count = 3000
    _, species = quadrats(torch.arange(count), count, 3)
    sizes = torch.bincount(species.sum(dim=1).long()).tolist()
    assert len(sizes) == 4
    assert sizes[0] == 0
    assert sizes[1:] == pytest.approx([count / 3] * 3, abs=150)


def test_two_plants_of_one_species_are_that_species_once():
    _, species = quadrats(torch.zeros(50, dtype=torch.long), 2, 5)
    assert torch.equal(species, torch.tensor([1.0, 0]).repeat(50, 1))


def test_a_recipe_s_quadrats_have_targets_for_every_class():
    drawn = Batches(torch.eye(4), torch.arange(4), 6, Recipe(quadrat_species=3), CPU)
    for features, species in drawn:
        assert species.shape == (4, 6)
        assert torch.equal(species[:, :4], (features > 0).float())
        assert not species[:, 4:].any()


# Files


def test_examples_mapped_from_a_file_are_batched_alike(tmp_path):
    targets = torch.arange(100) % 3
    inside = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    mapped = np.memmap(tmp_path / "features.f32", np.float32, "w+", shape=inside.shape)
    mapped[:] = inside
    recipe = Recipe(batch_size=16)
    first, second = (
        Batches(torch.from_numpy(features), targets, 3, recipe, CPU) for features in (np.asarray(mapped), inside)
    )
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
