import pytest
from lake_rows import frame, rows

from lake.query import answer


def weights(*seen, known=("s1", "s2"), shrinkage=10.0):
    """Learn from pairs of species and place."""
    train = [(f"t{number}", *pair) for number, pair in enumerate(seen)]
    frames = {
        "train_places": frame("observation_id species_id place", *train),
        "known_species": frame("species_id", *((one,) for one in known)),
    }
    return rows(answer(None, "priors/weights_by_place", frames=frames, shrinkage=shrinkage))


def test_a_place_is_drawn_towards_all_places_together():
    # In all: (3 + 1) / 6 and (1 + 1) / 6. In NO: (2 + 10 * 4 / 6) / 12 and (0 + 10 * 2 / 6) / 12.
    found = weights(("s1", "NO"), ("s1", "NO"), ("s1", "DK"), ("s2", "DK"))
    expected = [
        ("DK", "s1", (1 + 10 * 4 / 6) / 12),
        ("DK", "s2", (1 + 10 * 2 / 6) / 12),
        ("NO", "s1", (2 + 10 * 4 / 6) / 12),
        ("NO", "s2", (0 + 10 * 2 / 6) / 12),
    ]
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected])


def test_the_species_of_a_place_sum_to_one():
    found = weights(("s1", "NO"), ("s2", "NO"), ("s2", "DK"), ("s3", None), known=("s1", "s2", "s3", "s4"))
    for place in ("NO", "DK"):
        assert sum(weight for where, _, weight in found if where == place) == pytest.approx(1)


def test_no_known_species_is_impossible():
    ((_, _, of_s1), (_, _, of_s2)) = weights(("s1", "NO"), shrinkage=2.0)
    assert (of_s1, of_s2) == pytest.approx(((1 + 2 * 2 / 3) / 3, (2 * 1 / 3) / 3))


def test_an_observation_of_no_place_counts_among_all_and_is_no_place():
    found = weights(("s1", "NO"), ("s2", None), ("s2", None), shrinkage=1.0)
    assert [row[:2] for row in found] == [("NO", "s1"), ("NO", "s2")]
    assert found[0][2] == pytest.approx((1 + 2 / 5) / 2)


def test_less_shrinkage_believes_a_place_more():
    seen = [("s1", "NO"), ("s2", "DK"), ("s2", "DK")]
    (_, _, weak), *_ = [row for row in weights(*seen, shrinkage=100.0) if row[:2] == ("NO", "s1")]
    (_, _, strong), *_ = [row for row in weights(*seen, shrinkage=0.1) if row[:2] == ("NO", "s1")]
    assert weak < 0.45 < 0.9 < strong
