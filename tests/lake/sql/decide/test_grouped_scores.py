import math

import pytest
from lake_rows import frame, rows

from lake.query import answer

DATES = (("o1", "north"), ("o2", "north"), ("o3", "south"), ("o4", None), ("o5", None))


def grouped(*scores, grouping="max", min_votes=1, dates=DATES):
    """Group (observation_id, species_id, score, votes)."""
    frames = {
        "scores": frame("observation_id species_id score votes", *scores),
        "base_quadrats": frame("observation_id base_quadrat", *dates),
    }
    return sorted(rows(answer(None, "decide/grouped_scores", frames=frames, grouping=grouping, min_votes=min_votes)))


def test_every_date_of_a_base_quadrat_gets_what_any_of_them_found():
    found = grouped(("o1", "s1", 0.5, 1), ("o2", "s1", 0.75, 2), ("o2", "s2", 0.25, 1))
    both = [("s1", 0.75, 3), ("s2", 0.25, 1)]
    assert found == [(one, *row) for one in ("o1", "o2") for row in both]


def test_a_date_without_any_score_gets_those_of_the_others():
    assert [row[0] for row in grouped(("o1", "s1", 0.5, 1))] == ["o1", "o2"]


def test_the_mean_is_over_all_dates_also_those_that_found_nothing():
    assert [row[2] for row in grouped(("o1", "s1", 0.5, 1), grouping="mean")] == [0.25, 0.25]


@pytest.mark.parametrize(("min_votes", "count"), [(1, 2), (2, 1), (3, 0)])
def test_by_frequency_the_best_score_grows_with_how_often_it_was_found(min_votes, count):
    found = grouped(("o1", "s1", 0.5, 1), ("o2", "s1", 0.75, 2), grouping="frequency", min_votes=min_votes)
    assert [row[2] for row in found] == pytest.approx([0.75 * (1 + math.log(1 + count))] * 2)


def test_observations_of_no_base_quadrat_stand_alone():
    found = grouped(("o4", "s1", 0.5, 1), ("o5", "s2", 0.25, 1))
    assert found == [("o4", "s1", 0.5, 1), ("o5", "s2", 0.25, 1)]


def test_an_observation_that_is_called_like_a_base_quadrat_stands_alone():
    found = grouped(("north", "s1", 0.5, 1), ("o1", "s2", 0.25, 1), dates=(("north", None), ("o1", "north")))
    assert found == [("north", "s1", 0.5, 1), ("o1", "s2", 0.25, 1)]


def test_other_base_quadrats_have_no_say():
    assert grouped(("o1", "s1", 0.5, 1), ("o3", "s2", 0.25, 1), dates=DATES[1:3]) == [("o3", "s2", 0.25, 1)]
