from lake_rows import frame, rows

from lake.query import answer


def photographs(*records):
    frames = {"image_records": frame("dataset observation_id image_id image_name", *records)}
    return rows(answer(None, "decide/photographs_of_observation", frames=frames, dataset="d", observation_id="o1"))


def test_photographs_come_by_name():
    assert photographs(("d", "o1", "i1", "b.jpg"), ("d", "o1", "i2", "a.jpg")) == [("i2", "a.jpg"), ("i1", "b.jpg")]


def test_the_same_bytes_under_two_names_are_one_photograph():
    assert photographs(("d", "o1", "i1", "b.jpg"), ("d", "o1", "i1", "a.jpg")) == [("i1", "a.jpg")]


def test_photographs_of_others_are_not_shown():
    assert photographs(("d", "o2", "i1", "a.jpg"), ("e", "o1", "i1", "a.jpg")) == []
