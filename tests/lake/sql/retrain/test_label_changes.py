from lake_rows import frame

from lake.query import answer


def changes(learnt, offered):
    columns = "observation_id species_id"
    frames = {"learnt": frame(columns, *learnt), "offered": frame(columns, *offered)}
    (row,) = answer(None, "retrain/label_changes", frames=frames).to_pylist()
    return row["new_observations"], row["relabelled"], row["withdrawn"], row["new_species"]


def test_what_came_changed_and_went_is_counted_by_observation():
    learnt = [("o1", "a"), ("o2", "a"), ("o3", "b")]
    assert changes(learnt, [("o1", "a"), ("o2", "b"), ("o4", "b")]) == (1, 1, 1, [])


def test_several_photographs_of_an_observation_are_one_change():
    assert changes([("o1", "a")], [("o1", "b"), ("o1", "b"), ("o2", "b"), ("o2", "b")]) == (1, 1, 0, ["b"])


def test_a_species_is_new_where_nothing_was_learnt_of_it():
    assert changes([("o1", "b")], [("o1", "b"), ("o2", "c"), ("o3", "a")]) == (2, 0, 0, ["a", "c"])


def test_where_nothing_was_learnt_all_is_new():
    assert changes([], [("o1", "b")]) == (1, 0, 0, ["b"])
    assert changes([], []) == (0, 0, 0, [])
