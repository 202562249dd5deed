from lake_rows import frame, rows

from lake.query import answer


def accuracy(truth, answers):
    frames = {
        "truth": frame("observation_id species_id", *truth),
        "answers": frame("observation_id species_id rank", *answers),
    }
    return rows(answer(None, "evaluate/top10_accuracy", frames=frames))


CANDIDATES = [("o1", f"s{rank}", rank) for rank in range(1, 12)]


def test_the_tenth_candidate_is_among_ten_and_the_eleventh_is_not():
    assert accuracy([("o1", "s10")], CANDIDATES) == [("top10_accuracy", 1)]
    assert accuracy([("o1", "s11")], CANDIDATES) == [("top10_accuracy", 0)]


def test_an_observation_without_an_answer_is_a_miss():
    assert accuracy([("o1", "s1"), ("o2", "s1")], CANDIDATES) == [("top10_accuracy", 0.5)]


def test_answers_to_observations_without_truth_are_not_scored():
    assert accuracy([("o1", "s1")], [*CANDIDATES, ("o9", "s2", 1)]) == [("top10_accuracy", 1)]
