from lake_rows import frame, rows

from lake.query import answer


def test_an_observation_without_an_answer_counts_none_and_an_unexpected_one_is_not_counted():
    frames = {
        "expected_observations": frame("observation_id", ("o2",), ("o1",)),
        "answers": frame("observation_id species_id", ("o1", "s1"), ("o1", "s2"), ("o9", "s1")),
    }
    assert rows(answer(None, "submissions/answer_counts", frames=frames)) == [("o1", 2), ("o2", 0)]
