from lake_rows import filled, rows

from lake.query import answer


def test_an_image_of_two_names_is_one_and_other_data_sets_are_left_out():
    made = [
        ("d", "b.jpg", "i2", "o2"),
        ("d", "a.jpg", "i1", "o3"),
        ("d", "c.jpg", "i1", "o1"),
        ("e", "a.jpg", "i3", ""),
    ]
    frames = {"image_records": filled("image_records", "dataset image_name image_id observation_id", *made)}
    assert rows(answer(None, "retrain/images_of_dataset", frames=frames, dataset="d")) == [("i1", "o1"), ("i2", "o2")]
