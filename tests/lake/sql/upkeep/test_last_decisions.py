from lake_rows import day, filled, rows

from lake.query import answer


def decisions(*decided, most=10):
    frames = {"retrain_decisions": filled("retrain_decisions", "retrain_id decided_at decision", *decided)}
    return rows(answer(None, "upkeep/last_decisions", frames=frames, most=most), "decision")


def test_the_latest_decision_comes_first_and_of_two_at_once_that_of_the_lower_id():
    found = decisions(("b", day(2), "second"), ("a", day(1), "oldest"), ("c", day(2), "third"))
    assert found == [("second",), ("third",), ("oldest",)]


def test_no_more_than_asked_for_are_told():
    assert decisions(("a", day(1), "first"), ("b", day(2), "promoted"), most=1) == [("promoted",)]
