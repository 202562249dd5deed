from lake_rows import frame, rows

from lake.query import answer


def test_only_photographs_of_the_data_set_are_known_each_with_its_place():
    records = frame(
        "dataset image_name image_id observation_id split_tag",
        ("d", "a.jpg", "i1", "o1", "test"),
        ("e", "b.jpg", "i2", "o2", None),
    )
    found = answer(None, "pending/known_records", frames={"image_records": records}, dataset="d")
    assert rows(found) == [("a.jpg", "i1", "o1", "test")]
