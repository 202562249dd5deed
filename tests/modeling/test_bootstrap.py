import numpy as np
import pytest

from modeling.bootstrap import Interval, mean_interval


def outcomes(share: float, count: int) -> np.ndarray:
    return (np.arange(count) < share * count).astype(np.float64)


def test_the_value_is_the_mean():
    assert mean_interval(np.array([0.0, 1, 1, 4])).value == 1.5


def test_the_range_is_that_of_the_normal_distribution_where_there_are_many_observations():
    found = mean_interval(outcomes(0.8, 4000))
    error = 1.96 * np.sqrt(0.8 * 0.2 / 4000)
    assert found.low == pytest.approx(0.8 - error, abs=0.1 * error)
    assert found.high == pytest.approx(0.8 + error, abs=0.1 * error)


def test_four_times_as_many_observations_make_the_range_half_as_wide():
    few, many = mean_interval(outcomes(0.5, 500)), mean_interval(outcomes(0.5, 2000))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, abs=0.05)


def test_what_is_alike_for_all_observations_has_no_range():
    assert mean_interval(np.full(7, 0.25)) == Interval(0.25, 0.25, 0.25)
    assert mean_interval(np.array([1.0])) == Interval(1.0, 1.0, 1.0)


def test_the_same_seed_gives_the_same_range_and_another_seed_another():
    values = np.random.default_rng(0).normal(size=40)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_the_range_covers_the_truth_about_as_often_as_it_says():
    drawn = np.random.default_rng(0).normal(1, 2, size=(40, 100))
    covers = [found.low <= 1 <= found.high for found in map(mean_interval, drawn)]
    assert 35 <= sum(covers) <= 39


def test_a_difference_that_is_the_same_for_every_observation_is_real_however_much_they_vary():
    """Paired: each model by itself has a range ten times as wide as the difference."""
    first = np.random.default_rng(0).normal(0, 5, 200)
    second = first + np.random.default_rng(1).normal(0.1, 0.1, 200)
    assert mean_interval(second - first).is_real
    alone = mean_interval(first)
    assert alone.low < mean_interval(second).value < alone.high


@pytest.mark.parametrize(
    ("low", "high", "is_real"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False)]
)
def test_a_difference_is_real_where_the_range_leaves_out_zero(low: float, high: float, is_real: bool):
    assert Interval(0.0, low, high).is_real is is_real


def test_two_models_that_differ_by_chance_alone_differ_by_nothing_real():
    chance = np.random.default_rng(5)
    differences = chance.integers(0, 2, 300) - chance.integers(0, 2, 300)
    assert not mean_interval(differences.astype(np.float64)).is_real
