from lake_rows import frame, rows

from lake.query import answer


def base_quadrats(*records, scope=("o1", "o2")):
    frames = {
        "image_records": frame("dataset image_name observation_id base_quadrat", *records),
        "scope": frame("observation_id", *((one,) for one in scope)),
    }
    return sorted(rows(answer(None, "decide/base_quadrats", frames=frames, dataset="d")))


def test_every_observation_of_the_scope_has_a_row_also_without_a_base_quadrat():
    records = ("d", "a", "o1", "north"), ("d", "b", "o2", None), ("d", "c", "o3", "north"), ("e", "a", "o1", "south")
    assert base_quadrats(*records) == [("o1", "north"), ("o2", None)]


def test_of_photographs_that_disagree_the_first_by_name_counts():
    assert base_quadrats(("d", "b", "o1", "south"), ("d", "a", "o1", "west")) == [("o1", "west")]
