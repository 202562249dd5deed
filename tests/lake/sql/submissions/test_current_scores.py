from lake_rows import day, filled, rows

from lake.query import answer


def test_the_score_that_was_entered_last_holds():
    scores = [
        ("x", "public", 0.2, "kaggle", day(2)),
        ("x", "public", 0.9, "me", day(1)),
        ("x", "private", 0.1, "kaggle", day(1)),
    ]
    frames = {"official_scores": filled("official_scores", "decision_id metric value source entered_at", *scores)}
    assert rows(answer(None, "submissions/current_scores", frames=frames)) == [
        ("x", "private", 0.1, "kaggle", day(1)),
        ("x", "public", 0.2, "kaggle", day(2)),
    ]
