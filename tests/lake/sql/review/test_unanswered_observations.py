from lake_rows import frame
from review_rows import answers, found


def test_an_observation_without_an_answer_asks_for_a_look():
    frames = {
        "scope": frame("observation_id", ("o1",), ("o2",), ("o3",)),
        "answers": answers(("o1", "s1"), ("o2", "s1", False)),
    }
    said = ("unanswered", 1.0, "no species was found")
    assert found("unanswered_observations", frames) == [("o2", *said), ("o3", *said)]
