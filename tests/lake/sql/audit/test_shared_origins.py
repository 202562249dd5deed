from lake_rows import frame, rows

from lake.query import answer


def shared(*photographs):
    """Ask of photographs of (observation_id, author, base_quadrat, split), each with a place."""
    frames = {
        "image_records": frame("dataset observation_id author base_quadrat", *(("d", *one[:3]) for one in photographs)),
        "splits": frame("split_id observation_id split", *{("p", one[0], one[3]) for one in photographs}),
    }
    return rows(answer(None, "audit/shared_origins", frames=frames, dataset="d", split_id="p"))


def test_an_author_of_both_sides_is_counted_with_the_photographs_of_either():
    found = shared(
        ("o1", "ann", None, "train"),
        ("o1", "ann", None, "train"),
        ("o2", "ann", None, "val"),
        ("o3", "bob", None, "train"),
        ("o4", "bob", None, "val"),
        ("o5", "cleo", None, "val"),
    )
    assert found == [("same_author", "val", 2, 2, 3)]


def test_ground_of_both_sides_is_counted_by_side():
    found = shared(("o1", None, "q1", "train"), ("o2", None, "q1", "val"), ("o3", None, "q1", "test"))
    assert found == [("same_base_quadrat", "test", 1, 1, 1), ("same_base_quadrat", "val", 1, 1, 1)]


def test_no_known_author_is_not_one_author():
    assert shared(("o1", None, None, "train"), ("o2", None, None, "val")) == []
