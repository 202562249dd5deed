from lake_rows import frame, rows

from lake.query import answer


def species(*scores, pools_scores=True, candidates=5):
    """Rank (observation_id, species_id, score, votes)."""
    frames = {"scores": frame("observation_id species_id score votes", *scores)}
    return answer(None, "decide/ranked_species", frames=frames, pools_scores=pools_scores, candidates=candidates)


def test_the_best_species_is_the_answer_and_the_others_run_up():
    found = species(("o1", "s1", 0.375, 1), ("o1", "s2", 0.625, 1))
    assert rows(found, "observation_id species_id score votes rank is_answer") == [
        ("o1", "s2", 0.625, 1, 1, True),
        ("o1", "s1", 0.375, 1, 2, False),
    ]


def test_a_tie_goes_to_the_species_with_more_votes_and_then_to_the_lower_id():
    found = species(("o1", "s2", 0.5, 0), ("o1", "s1", 0.5, 0), ("o1", "s3", 0.5, 2))
    assert rows(found, "species_id") == [("s3",), ("s1",), ("s2",)]


def test_by_votes_the_score_decides_only_a_tie():
    found = species(("o1", "s1", 0.9, 1), ("o1", "s2", 0.3, 2), ("o1", "s3", 0.4, 2), pools_scores=False)
    assert rows(found, "species_id") == [("s3",), ("s2",), ("s1",)]


def test_only_the_best_candidates_are_kept_of_each_observation():
    scores = [("o1", "s1", 0.5, 1), ("o1", "s2", 0.3, 0), ("o1", "s3", 0.2, 0), ("o2", "s3", 0.1, 1)]
    found = species(*scores, candidates=2)
    assert rows(found, "observation_id species_id") == [("o1", "s1"), ("o1", "s2"), ("o2", "s3")]
