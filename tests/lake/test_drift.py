import numpy as np
import pytest

from lake.drift import between


def cloud(count, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32) + np.float32(shift)


def test_two_samples_of_one_cloud_have_no_drift_in_the_mean_and_their_range_holds_zero():
    found = [between(cloud(200, seed=2 * seed), cloud(60, seed=2 * seed + 1)) for seed in range(60)]
    assert np.mean([one.value for one in found]) == pytest.approx(0, abs=0.004)
    assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.85


def test_drift_is_the_squared_distance_of_the_means_over_the_spread():
    # Each of 16 coordinates has a variance of 1 and moves by a half: 16 / 4 over 16.
    found = between(cloud(4000), cloud(4000, 0.5, seed=1))
    assert found.value == pytest.approx(0.25, abs=0.03)
    assert found.low > 0.2
    assert found.low <= found.value <= found.high


def test_the_size_of_vectors_does_not_matter():
    small = between(cloud(100), cloud(50, 0.3, seed=1))
    large = between(1000 * cloud(100), 1000 * cloud(50, 0.3, seed=1))
    assert large.value == pytest.approx(small.value, rel=1e-4)


def test_too_few_vectors_say_nothing():
    assert between(cloud(9), cloud(10)) is None
    assert between(cloud(10), cloud(9)) is None
    assert between(cloud(10), cloud(10)) is not None
    assert between(np.ones((15, 3), np.float32), cloud(19)[:, :3]) is None
