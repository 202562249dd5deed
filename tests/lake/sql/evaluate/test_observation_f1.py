import pytest
from lake_rows import frame, rows

from lake.query import answer


def observations(truth, answers, columns="observation_id f1"):
    frames = {
        "truth": frame("observation_id species_id", *truth),
        "answers": frame("observation_id species_id is_answer", *answers),
    }
    return rows(answer(None, "evaluate/observation_f1", frames=frames), columns)


def test_f1_is_what_is_shared_of_what_is_there_and_what_is_answered():
    truth = [("q1", "s1"), ("q1", "s2"), ("q2", "s1")]
    answers = [("q1", "s1", True), ("q1", "s3", True), ("q1", "s4", True), ("q2", "s1", True)]
    assert observations(truth, answers, "observation_id true_count answer_count hits f1") == [
        ("q1", 2, 3, 1, pytest.approx(2 / 5)),
        ("q2", 1, 1, 1, 1.0),
    ]


def test_an_observation_without_an_answer_is_a_miss():
    assert observations([("q1", "s1")], []) == [("q1", 0)]


def test_runners_up_and_answers_to_observations_without_truth_are_not_scored():
    answers = [("q1", "s1", True), ("q1", "s2", False), ("q9", "s1", True)]
    assert observations([("q1", "s1")], answers) == [("q1", 1)]
