import pytest
from lake_rows import frame, rows

from lake.query import answer

RECORDS = [
    # observation, image, author, base quadrat
    ("o1", "i1", "ann", "q1"),
    ("o2", "i2", "ann", "q2"),
    ("o3", "i3", "bob", "q2"),
    ("o4", "i4", None, None),
    ("o5", "i5", None, None),
    ("o5", "i4x", None, None),
]


def links(group_by="observation", records=(), clusters=()):
    columns = "dataset observation_id image_id author base_quadrat"
    frames = {
        "image_records": frame(columns, *(("d", *record) for record in [*RECORDS, *records])),
        "image_clusters": frame("image_id cluster_id", *clusters),
    }
    return rows(answer(None, "splits/links", frames=frames, dataset="d", group_by=group_by))


def test_an_observation_is_a_group_by_itself():
    assert links() == []


@pytest.mark.parametrize(("group_by", "expected"), [("author", [("o2", "o1")]), ("base_quadrat", [("o3", "o2")])])
def test_those_who_share_it_are_joined_and_who_has_none_is_alone(group_by, expected):
    assert links(group_by) == expected


def test_near_duplicates_join_their_observations():
    clusters = [("i4", "i4"), ("i4x", "i4"), ("i1", "i4")]
    assert links("near_duplicate", clusters=clusters) == [("o4", "o1"), ("o5", "o1")]
    assert links("author", clusters=clusters) == [("o2", "o1")]


@pytest.mark.parametrize("group_by", ["observation", "base_quadrat"])
def test_the_same_bytes_join_however_it_is_grouped(group_by):
    assert ("o9", "o1") in links(group_by, [("o9", "i1", "cleo", "q9")])


def test_many_that_share_one_thing_are_joined_to_one_of_them():
    found = links("author", [(f"p{number}", f"j{number}", "ann", None) for number in range(100)])
    assert len(found) == 101
    assert {joined_to for _, joined_to in found} == {"o1"}


def test_an_author_who_is_called_like_a_quadrat_is_none():
    assert links("author", [("o9", "i9", "q1", None)]) == [("o2", "o1")]
