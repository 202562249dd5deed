from lake_rows import frame, rows

from lake.query import answer


def coordinates(*records):
    frames = {"image_records": frame("dataset image_name latitude longitude", *records)}
    return rows(answer(None, "audit/coordinates", frames=frames, dataset="d"))


def test_every_photograph_says_where_it_was_taken_in_the_order_of_their_names():
    found = coordinates(("d", "b.jpg", 0.0, 2.5), ("d", "a.jpg", -1.5, 0.0), ("d", "c.jpg", 0.0, 2.5))
    assert found == [(-1.5, 0.0), (0.0, 2.5), (0.0, 2.5)]


def test_half_a_place_is_none():
    assert coordinates(("d", "a.jpg", 1.0, None), ("d", "b.jpg", None, 1.0)) == []


def test_other_data_sets_are_not_seen():
    assert coordinates(("e", "a.jpg", 1.0, 2.0)) == []
