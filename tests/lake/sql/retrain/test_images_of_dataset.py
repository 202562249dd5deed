from lake_rows import filled

from lake.query import answer


def test_an_image_of_two_names_is_one_and_other_data_sets_are_left_out():
    made = [("d", "b.jpg", "i2"), ("d", "a.jpg", "i1"), ("d", "c.jpg", "i1"), ("e", "a.jpg", "i3")]
    frames = {"image_records": filled("image_records", "dataset image_name image_id", *made)}
    assert answer(None, "retrain/images_of_dataset", frames=frames, dataset="d")["image_id"].to_pylist() == ["i1", "i2"]
