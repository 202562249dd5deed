from lake_rows import frame, rows

from lake.query import answer


def test_scores_come_as_they_are():
    scores = [("o2", "s1", 0.5, 1), ("o1", "s2", 0.25, 0)]
    frames = {"scores": frame("observation_id species_id score votes", *scores)}
    assert sorted(rows(answer(None, "decide/same_scores", frames=frames))) == sorted(scores)
