import pytest
from lake_rows import frame, rows

from lake.query import answer


def metrics(truth, answered):
    """Score pairs of observation and species, as the question of each species counts them."""
    given = frame("observation_id species_id is_answer", *[(*pair, True) for pair in answered])
    frames = {"truth": frame("observation_id species_id", *truth), "answers": given}
    counted = answer(None, "evaluate/species_f1", frames=frames)
    shown = {"truth": frames["truth"], "species_f1": counted}
    return dict(rows(answer(None, "evaluate/precision_and_recall", frames=shown)))


TRUTH = [("q1", "s1"), ("q1", "s2"), ("q2", "s1"), ("q2", "s3")]


def test_precision_is_of_the_answered_pairs_and_recall_of_the_true_ones():
    found = metrics(TRUTH, [("q1", "s1"), ("q1", "s3"), ("q2", "s3")])
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 4)


def test_species_are_counted_per_scored_observation_and_not_per_answered_one():
    assert metrics(TRUTH, [("q1", "s1"), ("q1", "s3"), ("q1", "s2")])["mean_species"] == 1.5


def test_who_answers_nothing_is_never_right():
    assert metrics(TRUTH, []) == {"precision": 0, "recall": 0, "mean_species": 0}
