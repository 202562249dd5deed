import pytest
from lake_rows import frame, rows

from lake.query import answer

WEIGHTS = (("p", "NO", "s1", 0.5), ("p", "NO", "s2", 0.25), ("p", "NO", "s3", 0.125))
PLACES = (("p", "d", "o1", "NO"),)
MASK = (("p", "all", "s1", 1.0), ("p", "all", "s2", 0.0))
MASKED = (("p", "d", "o1", "all"), ("p", "d", "o2", "all"))


def weighted(*scores, weights=WEIGHTS, places=PLACES, strength=1.0):
    """Weigh (observation_id, species_id, score, votes)."""
    frames = {
        "scores": frame("observation_id species_id score votes", *scores),
        "priors": frame("prior_id place species_id weight", *weights),
        "prior_places": frame("prior_id dataset observation_id place", *places),
    }
    return rows(answer(None, "priors/weighted_scores", frames=frames, prior_id="p", dataset="d", strength=strength))


def test_the_likeliest_species_of_a_place_keeps_its_score_and_others_lose():
    found = weighted(("o1", "s1", 0.25, 1), ("o1", "s2", 0.5, 2), ("o1", "s3", 0.5, 0))
    assert found == [("o1", "s1", 0.25, 1, False), ("o1", "s2", 0.25, 2, False), ("o1", "s3", 0.125, 0, False)]


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 0.5), (0.5, 0.5 * 0.5**0.5), (1.0, 0.25), (2.0, 0.125)])
def test_the_strength_is_the_power_of_the_weight(strength, expected):
    ((_, _, score, _, _),) = weighted(("o1", "s2", 0.5, 1), strength=strength)
    assert score == pytest.approx(expected)


def test_a_species_that_a_place_does_not_know_is_as_likely_as_the_unlikeliest_one_there():
    assert weighted(("o1", "s9", 0.5, 1)) == [("o1", "s9", 0.125, 1, False)]


def test_an_observation_of_no_place_stays_as_it_is():
    assert weighted(("o2", "s2", 0.5, 1)) == [("o2", "s2", 0.5, 1, False)]
    # nor does a place of which nothing is known change anything
    assert weighted(("o1", "s2", 0.5, 1), places=[("p", "d", "o1", "SE")]) == [("o1", "s2", 0.5, 1, False)]


def test_a_mask_removes_what_it_does_not_keep_nor_know():
    found = weighted(("o1", "s1", 0.25, 1), ("o1", "s2", 0.5, 2), ("o1", "s9", 0.5, 2), weights=MASK, places=MASKED)
    assert found == [("o1", "s1", 0.25, 1, False)]


def test_an_observation_that_would_be_left_with_nothing_keeps_everything():
    scores = [("o1", "s1", 0.25, 1), ("o1", "s2", 0.5, 2), ("o2", "s2", 0.5, 2), ("o2", "s9", 0.25, 1)]
    assert weighted(*scores, weights=MASK, places=MASKED) == [
        ("o1", "s1", 0.25, 1, False),
        ("o2", "s2", 0.5, 2, True),
        ("o2", "s9", 0.25, 1, True),
    ]


def test_a_place_where_everything_is_impossible_leaves_everything():
    found = weighted(("o1", "s1", 0.25, 1), weights=[("p", "all", "s1", 0.0)], places=MASKED)
    assert found == [("o1", "s1", 0.25, 1, True)]


def test_without_strength_a_mask_removes_nothing():
    assert weighted(("o1", "s2", 0.5, 2), weights=MASK, places=MASKED, strength=0.0) == [("o1", "s2", 0.5, 2, False)]


def test_other_priors_and_data_sets_have_no_say():
    others = [("q", "NO", "s2", 1.0), ("q", "NO", "s1", 0.1)]
    assert weighted(("o1", "s2", 0.5, 1), weights=(*WEIGHTS, *others)) == [("o1", "s2", 0.25, 1, False)]
    for other in (("q", "d", "o1", "NO"), ("p", "other", "o1", "NO")):
        assert weighted(("o1", "s2", 0.5, 1), places=[other]) == [("o1", "s2", 0.5, 1, False)]
