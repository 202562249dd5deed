import pytest
from lake_rows import frame, rows

from lake.query import answer


def waiting(tags, groups=(), splits=(), labelled=None, is_drawn=True):
    """Ask for observations of (observation_id, tag), all labelled by default."""
    frames = {
        "tags": frame("observation_id tag", *tags),
        "current_labels": frame("observation_id species_id", *((one, "s") for one in labelled or dict(tags))),
        "splits": frame("split_id observation_id split group_id", *splits),
        "groups": frame("observation_id group_id", *groups),
    }
    found = answer(None, "splits/waiting_observations", frames=frames, split_id="p", is_drawn=is_drawn)
    return {observation: rest for observation, *rest in rows(found)}


PAIR = [("a", "a"), ("b", "a")]
PLACED = ("p", "a", "val", "a")


def test_who_was_not_held_out_waits_to_be_drawn():
    assert waiting([("a", None), ("b", "train")]) == {"a": ["a", None, None], "b": ["b", None, None]}


@pytest.mark.parametrize("tag", ["val", "test"])
def test_what_the_source_holds_out_is_given(tag):
    assert waiting([("a", tag)]) == {"a": ["a", tag, "given"]}


def test_where_nothing_is_drawn_train_is_given_and_the_rest_is_kept_for_it():
    found = waiting([("a", "train"), ("b", None)], is_drawn=False)
    assert found == {"a": ["a", "train", "given"], "b": ["b", "train", "kept"]}


def test_who_has_a_place_does_not_wait():
    assert waiting([("a", None)], splits=[PLACED]) == {}


def test_a_place_in_another_split_is_none():
    assert waiting([("a", None)], splits=[("q", "a", "val", "a")]) == {"a": ["a", None, None]}


def test_who_has_no_label_has_no_place():
    assert waiting([("a", None), ("b", None)], labelled=["a"]).keys() == {"a"}


@pytest.mark.parametrize(("tags", "side"), [(("val", "test"), "test"), (("val", "train"), "val")])
def test_who_is_not_held_out_joins_the_strictest_given_side_of_the_group(tags, side):
    groups = [(one, "a") for one in "abc"]
    found = waiting([("a", tags[0]), ("b", tags[1]), ("c", None)], groups)
    assert found["c"] == ["a", side, "joined"]


def test_the_source_holds_out_also_without_a_label():
    assert waiting([("a", "test"), ("b", None)], PAIR, labelled=["b"]) == {"b": ["a", "test", "joined"]}


def test_what_is_given_stays_whatever_the_group():
    assert waiting([("a", "test"), ("b", "val")], PAIR)["b"] == ["a", "val", "given"]
    assert waiting([("a", "test"), ("b", "train")], PAIR, is_drawn=False)["b"] == ["a", "train", "given"]


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_later_members_join_their_group_where_it_stands(side):
    assert waiting([("a", None), ("b", "train")], PAIR, [("p", "a", side, "a")]) == {"b": ["a", side, "joined"]}


def test_who_joins_two_groups_into_one_stands_on_the_stricter_side():
    groups = [(one, "a") for one in "abc"]
    splits = [("p", "a", "train", "a"), ("p", "b", "val", "b")]
    assert waiting([("a", None), ("b", None), ("c", None)], groups, splits) == {"c": ["a", "val", "joined"]}


def test_a_group_keeps_its_name_when_a_smaller_member_comes():
    assert waiting([("a", None), ("b", None)], PAIR, [("p", "b", "train", "b")]) == {"a": ["b", "train", "joined"]}
