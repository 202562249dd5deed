from lake_rows import frame, rows

from lake.query import answer


def leaks(*photographs, splits, near=()):
    """Audit photographs of (image_name, image_id, observation_id, split_tag, phash)."""
    frames = {
        "image_records": frame(
            "dataset image_name image_id observation_id split_tag", *(("d", *one[:4]) for one in photographs)
        ),
        "splits": frame("split_id observation_id split", *(("p", *one) for one in splits.items())),
        "perceptual_hashes": frame(
            "image_id phash", *sorted({(one[1], one[4]) for one in photographs if one[4] is not None})
        ),
        "near_hashes": frame("phash row_count attempts", *near).rename_columns(["phash", "other_phash", "distance"]),
    }
    return rows(answer(None, "audit/leakage", frames=frames, dataset="d", split_id="p"))


SIDES = {"o1": "train", "o2": "val", "o3": "test"}


def test_photographs_of_their_own_leak_nothing():
    assert leaks(("a", "i1", "o1", None, 1), ("b", "i2", "o2", None, 2), splits=SIDES) == []


def test_the_same_bytes_on_two_sides_leak():
    found = leaks(("a", "i", "o1", None, 1), ("b", "i", "o2", None, 1), ("c", "i", "o3", None, 1), splits=SIDES)
    assert found == [("same_bytes", "val", "b", "a", 1, None), ("same_bytes", "test", "c", "a", 1, None)]


def test_near_hashes_on_two_sides_leak_whichever_is_the_larger():
    photographs = ("a", "i1", "o1", None, 5), ("b", "i2", "o2", None, 4), ("c", "i3", "o3", None, 7)
    found = leaks(*photographs, splits=SIDES, near=[(4, 5, 1), (5, 7, 2), (4, 7, 2)])
    assert found == [("near_duplicate", "val", "b", "a", 1, 1), ("near_duplicate", "test", "c", "a", 1, 2)]


def test_equal_hashes_of_other_bytes_are_near():
    found = leaks(("a", "i1", "o1", None, 1), ("b", "i2", "o2", None, 1), splits=SIDES)
    assert found == [("near_duplicate", "val", "b", "a", 1, 0)]


def test_the_same_bytes_are_not_near_duplicates_as_well():
    photographs = ("a", "i1", "o1", None, 1), ("b", "i1", "o2", None, 1), ("c", "i2", "o1", None, 1)
    found = leaks(*photographs, splits=SIDES)
    assert found == [("same_bytes", "val", "b", "a", 1, None), ("near_duplicate", "val", "b", "c", 1, 0)]


def test_one_photograph_stands_for_the_many_that_share_its_hash():
    flat = [(f"t{number}", f"i{number}", "o1", None, 1) for number in range(50)]
    held_out = [(f"v{number}", f"j{number}", "o2", None, 1) for number in range(50)]
    found = leaks(*flat, *held_out, splits=SIDES)
    assert found == [("near_duplicate", "val", name, "t0", 50, 0) for name in sorted(one[0] for one in held_out)]


def test_a_photograph_that_the_source_holds_out_of_an_observation_that_is_learnt_from_leaks():
    photographs = ("a", "i1", "o1", None, 1), ("b", "i2", "o1", "test", 2)
    assert leaks(*photographs, splits=SIDES) == [("same_observation", "test", "b", "a", 2, None)]


def test_the_source_holds_out_also_without_a_label():
    found = leaks(("a", "i", "o1", None, 1), ("b", "i", "unlabelled", "val", 1), splits=SIDES)
    assert found == [("same_bytes", "val", "b", "a", 1, None)]


def test_the_strictest_side_is_named():
    found = leaks(("a", "i", "o1", None, 1), ("b", "i", "o2", "test", 1), splits=SIDES)
    assert [row[1] for row in found] == ["test"]


def test_what_is_held_out_may_be_like_what_is_held_out():
    assert leaks(("a", "i", "o2", None, 1), ("b", "i", "o3", None, 1), splits=SIDES) == []


def test_what_has_no_hash_is_compared_by_its_bytes_alone():
    photographs = ("a", "i1", "o1", None, None), ("b", "i2", "o2", None, None), ("c", "i1", "o2", None, None)
    assert [row[0] for row in leaks(*photographs, splits=SIDES)] == ["same_bytes"]
