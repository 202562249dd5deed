from lake_rows import filled, frame

from lake.query import answer


def test_they_are_the_first_images_of_what_is_scored():
    made = [("d", "a", "i3", "o1"), ("d", "b", "i1", "o2"), ("d", "c", "i2", "o2"), ("d", "e", "i0", "o3")]
    frames = {
        "image_records": filled("image_records", "dataset image_name image_id observation_id", *made),
        "scope": frame("observation_id", ("o1",), ("o2",)),
    }
    found = answer(None, "retrain/photographs_to_time", frames=frames, dataset="d", most=2)
    assert found["image_id"].to_pylist() == ["i1", "i2"]
