from lake_rows import frame, rows

from lake.query import answer


def scored(tags, labelled, splits=()):
    frames = {
        "tags": frame("observation_id tag", *tags),
        "current_labels": frame("observation_id species_id", *((one, "s1") for one in labelled)),
        "splits": frame("split_id observation_id split", *splits),
    }
    return rows(answer(None, "evaluate/labelled_observations", frames=frames, split_id="p"))


def test_a_labelled_observation_is_on_the_side_that_its_source_says():
    tags = ("o1", "train"), ("o2", "val"), ("o3", "test"), ("o4", None)
    assert scored(tags, ["o1", "o2", "o3", "o4"]) == [("o1", "train"), ("o2", "val"), ("o3", "test"), ("o4", None)]


def test_an_observation_without_a_label_is_left_out():
    assert scored([("o1", "test"), ("o2", "val")], ["o2"]) == [("o2", "val")]


def test_the_split_that_training_respected_comes_before_the_tag_of_the_source():
    tags = ("o1", "train"), ("o2", None)
    assert scored(tags, ["o1", "o2"], [("p", "o1", "val"), ("p", "o2", "train")]) == [("o1", "val"), ("o2", "train")]


def test_another_split_is_not_asked():
    assert scored([("o1", None)], ["o1"], [("other", "o1", "test")]) == [("o1", None)]


def test_an_observation_of_several_species_is_there_once():
    assert scored([("o1", "test")], ["o1", "o1"]) == [("o1", "test")]
