from lake_rows import frame, rows

from lake.query import answer

SCORES = [
    *(("o1", "s1", 0.75, 2), ("o1", "s2", 0.5, 0), ("o1", "s3", 0.25, 1)),
    *(("o2", "s1", 0.125, 1), ("o2", "s2", 0.0625, 1), ("o2", "s3", 0.03125, 1)),
]


def kept(scores=SCORES, min_votes=0, lowest_threshold=None, largest_count=0, best=1):
    asked = {"min_votes": min_votes, "lowest_threshold": lowest_threshold, "largest_count": largest_count, "best": best}
    frames = {"scores": frame("observation_id species_id score votes", *scores)}
    found = answer(None, "sweep/candidates", frames=frames, **asked)
    return sorted(one + species for one, species in rows(found, "observation_id species_id"))


def test_the_best_of_each_observation_are_kept_whatever_they_score():
    assert kept() == ["o1s1", "o2s1"]
    assert kept(best=2) == ["o1s1", "o1s2", "o2s1", "o2s2"]


def test_of_equals_none_is_dropped():
    assert kept([("o1", "s1", 0.5, 0), ("o1", "s2", 0.5, 0), ("o1", "s3", 0.25, 0)]) == ["o1s1", "o1s2"]


def test_a_score_that_reaches_the_lowest_threshold_is_kept():
    assert kept(lowest_threshold=0.25) == ["o1s1", "o1s2", "o1s3", "o2s1"]


def test_so_many_of_the_largest_scores_are_kept_as_the_largest_mean_asks_for():
    assert kept(largest_count=3) == ["o1s1", "o1s2", "o1s3", "o2s1"]
    assert kept(largest_count=5) == ["o1s1", "o1s2", "o1s3", "o2s1", "o2s2"]
    assert kept(largest_count=99) == [one + species for one, species, _, _ in SCORES]


def test_what_has_too_few_votes_is_not_among_the_largest():
    assert kept(largest_count=2, min_votes=1) == ["o1s1", "o1s2", "o1s3", "o2s1"]


def test_the_lower_of_threshold_and_count_holds():
    assert kept(lowest_threshold=0.6, largest_count=3) == kept(largest_count=3)
    assert kept(lowest_threshold=0.05, largest_count=1) == kept(lowest_threshold=0.05)
