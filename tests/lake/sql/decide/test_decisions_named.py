from lake_rows import filled, rows

from lake.query import answer


def named(beginning):
    stored = [("abc1", "d"), ("abd2", "e"), ("a%c3", "f")]
    frames = {"decisions": filled("decisions", "decision_id dataset", *stored)}
    return rows(answer(None, "decide/decisions_named", frames=frames, beginning=beginning), "decision_id dataset")


def test_decisions_are_found_by_the_first_signs_of_their_ids():
    assert named("abc1") == [("abc1", "d")]
    assert named("ab") == [("abc1", "d"), ("abd2", "e")]
    assert named("bc") == []


def test_no_sign_stands_for_any_other():
    assert named("a%") == [("a%c3", "f")]
    assert named("ab_") == []
