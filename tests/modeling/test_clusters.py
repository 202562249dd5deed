import numpy as np
import pytest

from modeling.clusters import clusters_of
from modeling.errors import TrainingError


def heaps(*centres, each=20, spread=0.1):
    """Vectors around some centres, one heap after the other."""
    generator = np.random.default_rng(7)
    return np.concatenate([np.array(centre) + generator.normal(0, spread, (each, len(centre))) for centre in centres])


def test_vectors_that_lie_together_are_one_cluster():
    found = clusters_of(heaps((0, 0), (5, 0), (0, 5)).astype(np.float32), 3)
    assert found.tolist() == [0] * 20 + [1] * 20 + [2] * 20


def test_clusters_are_numbered_as_the_first_of_their_vectors_come():
    vectors = heaps((0, 0), (5, 0), (0, 5))
    for seed in range(5):
        assert clusters_of(vectors[::-1], 3, seed).tolist() == [0] * 20 + [1] * 20 + [2] * 20


def test_the_same_vectors_are_clustered_alike_again():
    vectors = np.random.default_rng(1).normal(size=(200, 8))
    first = clusters_of(vectors, 5, seed=3)
    assert clusters_of(vectors, 5, seed=3).tolist() == first.tolist()
    assert set(first.tolist()) == {0, 1, 2, 3, 4}


def test_no_dimension_counts_for_more_by_its_unit():
    # The second dimension parts the heaps; the first is noise, in units a thousand times smaller.
    generator = np.random.default_rng(2)
    vectors = np.column_stack([generator.normal(0, 1000, 60), np.repeat([0.0, 1.0], 30)])
    assert clusters_of(vectors, 2).tolist() == [0] * 30 + [1] * 30


def test_a_dimension_that_never_moves_says_nothing():
    vectors = np.column_stack([np.full(40, 3.0), heaps((0,), (5,))])
    assert clusters_of(vectors, 2).tolist() == [0] * 20 + [1] * 20


def test_no_cluster_is_empty_even_where_nearly_all_vectors_are_copies():
    vectors = np.array([[0.0, 0.0]] * 30 + [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = clusters_of(vectors, 4)
    assert sorted(np.bincount(found).tolist()) == [1, 1, 1, 30]
    assert len(set(found[:30].tolist())) == 1


def test_one_cluster_is_everything():
    assert clusters_of(heaps((0, 0), (5, 5)), 1).tolist() == [0] * 40


@pytest.mark.parametrize(("vectors", "count"), [([[1.0], [1.0], [2.0]], 3), ([[1.0]], 0), (np.empty((0, 4)), 1)])
def test_more_clusters_than_different_vectors_are_refused(vectors, count):
    with pytest.raises(TrainingError, match=rf"{count} clusters were asked for, of {len(vectors)} vectors"):
        clusters_of(np.array(vectors), count)
