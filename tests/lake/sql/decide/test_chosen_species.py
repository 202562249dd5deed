from lake_rows import frame, rows

from lake.query import answer

ALL = 1 << 30


def species(*scores, pools_scores=False, min_votes=1, threshold=None, least_species=1, most_species=ALL):
    """Choose among (observation_id, species_id, score, votes)."""
    asked = {
        **{"pools_scores": pools_scores, "min_votes": min_votes, "threshold": threshold},
        **{"least_species": least_species, "most_species": most_species},
    }
    frames = {"scores": frame("observation_id species_id score votes", *scores)}
    return answer(None, "decide/chosen_species", frames=frames, **asked)


def test_a_species_needs_its_votes():
    found = species(("q1", "s1", 0.5, 2), ("q1", "s2", 0.9, 1), min_votes=2)
    assert rows(found, "species_id votes") == [("s1", 2)]


def test_the_best_species_stands_where_none_has_the_votes():
    found = species(("q1", "s1", 0.5, 1), ("q1", "s2", 0.75, 1), min_votes=2)
    assert rows(found, "species_id score votes") == [("s2", 0.75, 1)]


def test_an_answer_may_be_empty_where_that_is_allowed():
    assert rows(species(("q1", "s1", 0.5, 1), ("q1", "s2", 0.75, 1), min_votes=2, least_species=0)) == []


def test_species_rank_by_votes_then_score_then_id():
    found = species(("q1", "s4", 0.75, 1), ("q1", "s2", 0.25, 1), ("q1", "s1", 0.25, 1), ("q1", "s3", 0.5, 2))
    assert rows(found, "species_id rank is_answer") == [
        ("s3", 1, True),
        ("s4", 2, True),
        ("s1", 3, True),
        ("s2", 4, True),
    ]


def test_where_scores_are_pooled_species_rank_by_score_then_votes_then_id():
    found = species(
        *(("q1", "s4", 0.25, 1), ("q1", "s2", 0.5, 1), ("q1", "s1", 0.5, 1), ("q1", "s3", 0.5, 2)),
        pools_scores=True,
        min_votes=0,
    )
    assert rows(found, "species_id rank") == [("s3", 1), ("s1", 2), ("s2", 3), ("s4", 4)]


def test_a_score_at_the_threshold_is_kept_and_one_below_it_is_not():
    found = species(
        *(("q1", "s1", 0.5, 0), ("q1", "s2", 0.49, 0), ("q1", "s3", 0.75, 0)),
        pools_scores=True,
        min_votes=0,
        threshold=0.5,
    )
    assert rows(found, "species_id") == [("s3",), ("s1",)]


def test_a_species_needs_both_its_votes_and_its_score():
    found = species(*(("q1", "s1", 0.75, 1), ("q1", "s2", 0.25, 2), ("q1", "s3", 0.5, 2)), min_votes=2, threshold=0.5)
    assert rows(found, "species_id") == [("s3",)]


def test_the_best_ones_stand_also_where_they_miss_the_threshold():
    scores = [("q1", "s1", 0.5, 0), ("q1", "s2", 0.25, 0), ("q1", "s3", 0.125, 0), ("q2", "s1", 0.75, 0)]
    found = species(*scores, pools_scores=True, min_votes=0, threshold=0.6, least_species=2)
    assert rows(found, "observation_id species_id rank") == [("q1", "s1", 1), ("q1", "s2", 2), ("q2", "s1", 1)]


def test_what_is_kept_comes_before_what_only_fills_up():
    # s1 has more votes, but it is s2 that reaches the threshold
    found = species(("q1", "s1", 0.25, 3), ("q1", "s2", 0.75, 1), threshold=0.5)
    assert rows(found, "species_id rank") == [("s2", 1)]


def test_an_answer_holds_no_more_than_is_allowed():
    scores = [("q1", f"s{number}", 0.5 + number / 16, 1) for number in range(4)]
    assert rows(species(*scores, pools_scores=True, most_species=2), "species_id") == [("s3",), ("s2",)]


def test_quadrats_are_judged_each_for_itself():
    found = species(("q1", "s1", 0.5, 3), ("q2", "s2", 0.5, 1), min_votes=2)
    assert rows(found, "observation_id species_id rank") == [("q1", "s1", 1), ("q2", "s2", 1)]
