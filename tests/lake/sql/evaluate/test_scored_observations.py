from lake_rows import frame, rows

from lake.query import answer


def scored(tags, labelled, splits=()):
    frames = {
        "tags": frame("observation_id tag", *tags),
        "current_labels": frame("observation_id species_id", *((one, "s1") for one in labelled)),
        "splits": frame("split_id observation_id split", *splits),
    }
    return rows(answer(None, "evaluate/scored_observations", frames=frames, split_id="p"))


def test_the_test_split_is_scored_where_there_is_one():
    tags = ("o1", "train"), ("o2", "val"), ("o3", "test")
    assert scored(tags, ["o1", "o2", "o3"]) == [("o3", "test")]


def test_else_the_validation_split_is():
    assert scored([("o1", "train"), ("o2", "val")], ["o1", "o2"]) == [("o2", "val")]


def test_else_everything_that_is_labelled_is():
    assert scored([("o1", None), ("o2", "train"), ("o3", None)], ["o1", "o2"]) == [("o1", "all"), ("o2", "all")]


def test_a_test_observation_without_a_label_does_not_make_a_test_split():
    assert scored([("o1", "test"), ("o2", "val")], ["o2"]) == [("o2", "val")]


def test_the_split_that_training_respected_comes_before_the_tag_of_the_source():
    tags = ("o1", "train"), ("o2", None)
    assert scored(tags, ["o1", "o2"], [("p", "o1", "val"), ("p", "o2", "train")]) == [("o1", "val")]


def test_another_split_is_not_asked():
    assert scored([("o1", None)], ["o1"], [("other", "o1", "test")]) == [("o1", "all")]


def test_an_observation_of_several_species_is_scored_once():
    assert scored([("o1", "test")], ["o1", "o1"]) == [("o1", "test")]
