from lake_rows import frame, rows

from lake.query import answer


def test_only_photographs_of_the_data_set_are_known():
    frames = {"image_records": frame("dataset image_name image_id", ("d", "a.jpg", "i1"), ("e", "b.jpg", "i2"))}
    assert rows(answer(None, "pending/known_records", frames=frames, dataset="d")) == [("a.jpg", "i1")]
