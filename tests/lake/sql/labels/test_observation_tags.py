import pytest
from lake_rows import frame, rows

from lake.query import answer


def tag(*tags):
    records = [("d", "o1", one) for one in tags]
    frames = {"image_records": frame("dataset observation_id split_tag", *records)}
    return rows(answer(None, "labels/observation_tags", frames=frames, dataset="d"))


@pytest.mark.parametrize("only", ["train", "val", "test", None])
def test_an_observation_has_the_tag_of_its_photographs(only):
    assert tag(only, only) == [("o1", only)]


@pytest.mark.parametrize(
    ("tags", "strictest"),
    [(("train", "val"), "val"), (("val", "test"), "test"), (("test", "train"), "test"), ((None, "train"), "train")],
)
def test_an_observation_is_as_held_out_as_its_strictest_photograph(tags, strictest):
    assert tag(*tags) == [("o1", strictest)]


def test_other_data_sets_are_not_seen():
    frames = {"image_records": frame("dataset observation_id split_tag", ("e", "o1", "test"))}
    assert rows(answer(None, "labels/observation_tags", frames=frames, dataset="d")) == []
