from lake_rows import filled, frame
from review_rows import found


def test_each_photograph_of_an_observation_that_is_asked_for_is_named_once():
    records = [("d", "b", "i1", "o1"), ("d", "a", "i1", "o1"), ("d", "aa", "i2", "o1"), ("d", "c", "i3", "o2")]
    frames = {
        "queue": frame("observation_id reason", ("o1", "x"), ("o1", "y")),
        "image_records": filled(
            "image_records", "dataset image_name image_id observation_id", *records, ("e", "z", "i9", "o1")
        ),
    }
    assert found("photographs", frames, dataset="d") == [("o1", "i1", "a"), ("o1", "i2", "aa")]
