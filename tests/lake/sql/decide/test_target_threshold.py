import math

import pytest
from lake_rows import frame

from lake.query import answer

SCORES = [("o1", "s1", 0.75, 2), ("o1", "s2", 0.5, 0), ("o2", "s1", 0.25, 1), ("o2", "s2", 0.125, 1)]


def threshold(mean_species, observation_count=2, min_votes=0, scores=SCORES):
    frames = {"scores": frame("observation_id species_id score votes", *scores)}
    asked = {"mean_species": mean_species, "observation_count": observation_count, "min_votes": min_votes}
    return answer(None, "decide/target_threshold", frames=frames, **asked)["threshold"][0].as_py()


@pytest.mark.parametrize(("mean_species", "expected"), [(0.5, 0.75), (1, 0.5), (1.5, 0.25), (1.4, 0.25), (2, 0.125)])
def test_so_many_scores_are_at_least_as_high(mean_species, expected):
    assert threshold(mean_species) == expected


def test_observations_without_a_score_count():
    assert threshold(1, observation_count=3) == 0.25


def test_what_has_too_few_votes_does_not_count():
    assert threshold(1, min_votes=1) == 0.25


def test_where_more_is_asked_than_there_is_everything_is_kept():
    assert threshold(50) == 0.125


def test_where_not_even_one_is_asked_nothing_is_kept():
    assert threshold(0.1) == math.inf
    assert threshold(1, scores=[]) == math.inf
