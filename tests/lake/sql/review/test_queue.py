from lake_rows import frame
from review_rows import floats, found


def queue(*reasons, labelled=(), most=9, columns="observation_id reason rank"):
    """Return the queue of reasons (observation_id, reason, weight)."""
    rows = [(observation, reason, "why", weight) for observation, reason, weight in reasons]
    frames = {
        "reasons": floats("observation_id reason detail weight", *rows),
        "current_labels": frame("observation_id species_id", *((one, "s1") for one in labelled)),
    }
    return found("queue", frames, columns, most=most)


def test_the_largest_sum_of_weights_comes_first_and_of_equal_ones_the_lower_id():
    reasons = [("o3", "x", 0.5), ("o1", "x", 0.25), ("o1", "y", 0.5), ("o2", "x", 0.5)]
    assert queue(*reasons) == [("o1", "y", 1), ("o1", "x", 1), ("o2", "x", 2), ("o3", "x", 3)]


def test_an_observation_that_is_labelled_is_left_out():
    assert queue(("o1", "x", 1.0), ("o2", "x", 1.0), labelled=["o1"]) == [("o2", "x", 1)]


def test_a_label_that_is_doubted_is_asked_for_with_all_reasons():
    reasons = [("o1", "x", 0.5), ("o1", "label_doubted", 1.0)]
    assert queue(*reasons, labelled=["o1"]) == [("o1", "label_doubted", 1), ("o1", "x", 1)]


def test_no_more_observations_are_asked_for_than_is_said():
    reasons = [("o1", "x", 1.0), ("o2", "x", 0.5), ("o2", "y", 0.25), ("o3", "x", 0.5)]
    assert queue(*reasons, most=2, columns="observation_id reason") == [("o1", "x"), ("o2", "x"), ("o2", "y")]
