from collections import Counter
from itertools import count
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import day, filled, held, rows
from own_processes import at_once

from lake import splits, tables
from lake.errors import LakeError
from lake.splits import GROUPINGS, SplitRecipe
from lake.tables import Lake

HALF = SplitRecipe(val_fraction=0.5)
DATASETS = map("d{}".format, count())


@pytest.fixture(scope="module")
def common_lake(tmp_path_factory):
    """One lake for all examples, each of which is a data set of its own."""
    lake = Lake(str(tmp_path_factory.mktemp("common") / "lake"))
    tables.create_missing(lake)
    return lake


def observed(lake, *observations, dataset="d"):
    """Put observations on record, of (observation_id, species_ids, tag, image_id, author, base_quadrat).

    What is left out at the end is none, and the image is the observation's own.
    """
    whole = [(*one, *(None,) * (6 - len(one))) for one in observations]
    records = [
        (dataset, f"{one}-{image or one}.jpg", one, image or one, tag, author, ground)
        for one, _, tag, image, author, ground in whole
    ]
    columns = "dataset image_name observation_id image_id split_tag author base_quadrat"
    tables.append(lake, "image_records", filled("image_records", columns, *sorted(set(records), key=repr)))
    named = {(dataset, one, name, "given", day(1)) for one, species, *_ in whole for name in (species or "").split()}
    columns = "dataset observation_id species_id status labelled_at"
    tables.append(lake, "labels", filled("labels", columns, *sorted(named)))


def many(species, how_many, *rest):
    return [(f"{species}-{number:03}", species, *rest) for number in range(how_many)]


def assigned(lake, recipe=HALF, dataset="d"):
    """Assign, and return the side and reason of each observation."""
    splits.assign(lake, dataset, recipe, "run")
    found = held(lake, "splits", "split_id observation_id split reason")
    return {one: (split, reason) for key, one, split, reason in found if key == recipe.split_id(dataset)}


def sides(found):
    return sorted(split for split, _ in found.values())


def learnt(found, species_of):
    """Return the species of which something is learnt from."""
    return {species_of[one] for one, (split, _) in found.items() if split == "train"}


def groups(lake):
    return dict(held(lake, "splits", "observation_id group_id"))


def hashed(lake, **hashes):
    """Give images their hash, and a row that they wait by until then."""
    images = [(image, 0) for image in hashes]
    tables.append(lake, "images", filled("images", "image_id byte_count", *images))
    tables.append(lake, "perceptual_hashes", filled("perceptual_hashes", "image_id phash", *hashes.items()))


def assign_alone(root):
    splits.assign(Lake(root), "d", HALF, "run")


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1])
def test_a_share_that_leaves_too_little_to_learn_from_makes_no_sense(fraction):
    with pytest.raises(LakeError, match=r"validation share of .* makes no sense"):
        SplitRecipe(val_fraction=fraction)


@pytest.mark.parametrize("fraction", [-0.1, 0.51])
def test_a_test_share_beyond_one_half_makes_no_sense(fraction):
    with pytest.raises(LakeError, match=r"test share of .* makes no sense"):
        SplitRecipe(test_fraction=fraction)


def test_a_grouping_that_is_none_is_told_which_there_are():
    with pytest.raises(LakeError, match=r"'species'; they can by observation, author, base_quadrat, near_duplicate"):
        SplitRecipe(group_by="species")


def test_a_split_is_named_by_all_that_makes_it():
    assert SplitRecipe().split_id("plants") == "plants-val20-seed0"
    assert SplitRecipe(0.125, seed=3).split_id("plants") == "plants-val12.5-seed3"
    assert SplitRecipe(0.12).split_id("plants") != SplitRecipe(0.125).split_id("plants")
    assert SplitRecipe(0.07).split_id("plants") == "plants-val7-seed0"
    assert SplitRecipe(0.2, 0.1, 0, "author").split_id("plants") == "plants-val20-test10-seed0-by-author"


def test_the_share_is_drawn_into_val(lake):
    observed(lake, *many("s1", 10))
    assert sides(assigned(lake, SplitRecipe(0.2))) == ["train"] * 8 + ["val"] * 2


@pytest.mark.parametrize("percent", [7, 10, 29, 50])
def test_the_share_of_a_hundred_is_whole(lake, percent):
    observed(lake, *many("s1", 100))
    assert sides(assigned(lake, SplitRecipe(percent / 100))).count("val") == percent


def test_the_share_is_kept_however_few_come_at_a_time(lake):
    for how_many in (4, 8, 12, 16, 20):
        observed(lake, *many("s1", how_many))
        found = assigned(lake, SplitRecipe(0.2))
    assert sides(found).count("val") == 4


def test_each_species_gives_its_share(lake):
    observed(lake, *many("s1", 10), *many("s2", 10))
    found = assigned(lake, SplitRecipe(0.2))
    assert sorted(one[:2] for one, (split, _) in found.items() if split == "val") == ["s1", "s1", "s2", "s2"]


def test_test_is_drawn_first_and_val_from_the_rest(lake):
    observed(lake, *many("s1", 100))
    assert Counter(sides(assigned(lake, SplitRecipe(0.25, 0.2)))) == {"test": 20, "val": 20, "train": 60}


def test_a_species_seen_once_is_never_drawn(lake):
    observed(lake, *(one for number in range(20) for one in many(f"s{number}", 1)))
    assert set(assigned(lake, SplitRecipe(0.5, 0.5)).values()) == {("train", "kept")}


def test_a_group_that_holds_a_whole_species_is_never_drawn(lake):
    observed(lake, *many("s1", 30), ("rare", "s2", None, "same"), ("common", "s1", None, "same"))
    for seed in range(5):
        found = assigned(lake, SplitRecipe(0.5, seed=seed))
        assert found["rare"] == found["common"] == ("train", "kept")


def test_a_split_that_the_source_gives_is_kept(lake):
    observed(lake, ("o1", "s1", "train"), ("o2", "s1", "val"), ("o3", "s1", "test"))
    assert assigned(lake) == {"o1": ("train", "given"), "o2": ("val", "given"), "o3": ("test", "given")}


def test_nothing_is_drawn_into_val_where_the_source_gives_a_val(lake):
    observed(lake, ("held", "s1", "val"), *many("s1", 20))
    assert [one for one, (split, _) in assigned(lake).items() if split == "val"] == ["held"]


def test_where_the_source_gives_a_test_val_is_drawn_from_the_rest_and_no_more_test(lake):
    observed(lake, *many("s1", 10, "test"), *many("s2", 10, "train"))
    assert sides(assigned(lake, SplitRecipe(0.5, 0.3))) == ["test"] * 10 + ["train"] * 5 + ["val"] * 5


def test_another_seed_is_another_split_beside_the_first(lake):
    observed(lake, *many("s1", 20))
    draws = [assigned(lake, SplitRecipe(0.5, seed=seed)) for seed in range(4)]
    assert len({tuple(sorted(draw.items())) for draw in draws}) == 4
    assert assigned(lake, SplitRecipe(0.5, seed=0)) == draws[0]


def test_the_same_seed_draws_the_same_in_whatever_order_the_rows_lie(lake, tmp_path):
    observed(lake, *many("s1", 20), *many("s2", 20))
    other = Lake(str(tmp_path / "other"))
    tables.create_missing(other)
    for observation in reversed([*many("s2", 20), *many("s1", 20)]):
        observed(other, observation)
    assert assigned(lake) == assigned(other)


def test_an_observation_without_a_label_has_no_place(lake):
    observed(lake, *many("s1", 2), ("o", None, "train"))
    assert "o" not in assigned(lake)


def test_an_observation_of_several_species_has_one_place(lake):
    observed(lake, ("q", "s1 s2"), *many("s1", 2), *many("s2", 2))
    assert len(assigned(lake)) == 5


def test_places_are_given_once(lake):
    observed(lake, *many("s1", 4))
    assert splits.assign(lake, "d", HALF, "run").row_count == 4
    again = splits.assign(lake, "d", HALF, "another run")
    assert (again.row_count, again.snapshot) == (0, tables.Snapshot("splits", 1))


def test_two_who_assign_at_once_end_as_one(lake):
    observed(lake, *many("s1", 40))
    assert at_once(assign_alone, (lake.root,), (lake.root,)) == [0, 0]
    assert sides(assigned(lake)) == ["train"] * 20 + ["val"] * 20
    assert tables.latest(lake, "splits")[0].version == 1


def test_who_has_a_place_keeps_it_when_the_data_grow(lake):
    observed(lake, *many("s1", 5), *many("s2", 1))
    before = assigned(lake)
    observed(lake, *many("s1", 9), *many("s2", 4), *many("s0", 6))
    after = assigned(lake)
    assert before.items() <= after.items()
    assert len(after) == 19


@pytest.mark.parametrize("group_by", GROUPINGS[1:])
def test_a_group_stands_on_one_side(lake, group_by):
    names = [f"g{number}" for number in range(20)]
    observed(
        lake,
        *((f"{name}-{member}", "s1", None, f"{name}-{member}", name, name) for name in names for member in "abc"),
    )
    # groups differ in eight bits and more, the members of one in at most one
    hashed(
        lake,
        **{
            f"{name}-{member}": number * 0x0101010101010101 + (1 << 62) * (member == "a")
            for number, name in enumerate(names)
            for member in "abc"
        },
    )
    found = assigned(lake, SplitRecipe(0.5, group_by=group_by))
    stood = {name: {found[f"{name}-{member}"] for member in "abc"} for name in names}
    assert all(len(places) == 1 for places in stood.values())
    assert sides(found).count("val") == 30
    assert groups(lake) == {f"{name}-{member}": f"{name}-a" for name in names for member in "abc"}


def test_who_has_no_author_is_a_group_alone(lake):
    observed(lake, *many("s1", 10))
    assert sides(assigned(lake, SplitRecipe(0.5, group_by="author"))).count("val") == 5
    assert groups(lake) == {one: one for one, _ in many("s1", 10)}


def test_the_same_bytes_stand_on_one_side_however_it_is_grouped(lake):
    pairs = [(f"{side}{number}", "s1", None, f"i{number}") for number in range(20) for side in "ab"]
    observed(lake, *pairs)
    found = assigned(lake)
    assert all(found[f"a{number}"] == found[f"b{number}"] for number in range(20))
    assert sides(found).count("val") == 20


def test_members_of_a_held_out_group_are_held_out_with_it(lake):
    observed(
        lake,
        *many("s1", 9),
        ("held", "s1", "test", None, "ann"),
        ("beside", "s1", "train", None, "ann"),
        ("also", "s1", None, None, "ann"),
    )
    found = assigned(lake, SplitRecipe(0.5, group_by="author"))
    assert found["held"] == ("test", "given")
    assert found["beside"] == found["also"] == ("test", "joined")


def test_what_the_source_says_stays_even_inside_one_group(lake):
    observed(lake, ("a", "s1", "test", None, "ann"), ("b", "s1", "val", None, "ann"), ("c", "s1", "train", None, "ann"))
    found = assigned(lake, SplitRecipe(group_by="author"))
    assert found == {"a": ("test", "given"), "b": ("val", "given"), "c": ("train", "given")}


def test_later_members_join_their_group_under_its_name(lake):
    recipe = SplitRecipe(0.5, group_by="author")
    observed(lake, *many("s1", 10, None, None, "ann"), *many("s2", 10, None, None, "bob"), *many("s1 s2", 9))
    before = assigned(lake, recipe)
    observed(lake, ("a-new", "s1", None, None, "ann"), ("b-new", "s2", None, None, "bob"))
    found = assigned(lake, recipe)
    assert found["a-new"] == (before["s1-000"][0], "joined")
    assert found["b-new"] == (before["s2-000"][0], "joined")
    assert groups(lake)["a-new"] == "s1-000"


def test_who_joined_a_group_counts_into_its_share(lake):
    recipe = SplitRecipe(0.5, group_by="author")
    observed(lake, *(one for name in "abcd" for one in [(f"{name}-0", "s1", None, None, name)]))
    val = next(one[0] for one, (split, _) in sorted(assigned(lake, recipe).items()) if split == "val")
    observed(lake, *((f"{val}-{number}", "s1", None, None, val) for number in range(1, 11)))
    observed(lake, *many("s1", 10))
    assert sides(assigned(lake, recipe)).count("val") == 12


def test_near_duplicates_are_not_parted_before_all_are_hashed(lake):
    observed(lake, *many("s1", 2))
    tables.append(lake, "images", filled("images", "image_id", ("s1-000",), ("s1-001",)))
    with pytest.raises(LakeError, match="2 of its images have no perceptual hash"):
        splits.assign(lake, "d", SplitRecipe(group_by="near_duplicate"), "run")


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=7), min_size=1, max_size=3),
    st.sampled_from([(0.1, 0.0), (0.2, 0.1), (0.25, 0.5), (0.5, 0.0)]),
)
def test_however_the_data_grow_the_share_is_kept_and_no_species_is_only_held_out(common_lake, batches, fractions):
    recipe, dataset = SplitRecipe(*fractions), next(DATASETS)
    species_of, found = {}, {}
    for number, batch in enumerate(batches):
        added = [(f"{number}-{place}", species) for place, species in enumerate(batch)]
        observed(common_lake, *added, dataset=dataset)
        species_of |= dict(added)
        before, found = found, assigned(common_lake, recipe, dataset)
        assert before.items() <= found.items()
    drawn = Counter(split for split, reason in found.values() if reason == "drawn")
    total = sum(drawn.values())
    assert drawn["test"] == floor(total * recipe.test_fraction + 0.5 + 1e-9)
    assert drawn["val"] == floor((total - drawn["test"]) * recipe.val_fraction + 0.5 + 1e-9)
    assert found.keys() == species_of.keys()
    assert learnt(found, species_of) == set(species_of.values())


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1, max_size=40),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_the_share_of_groups_is_met_to_within_the_largest(common_lake, members, fraction):
    dataset = next(DATASETS)
    named = [(f"o{number:02}", species, author) for number, (author, species) in enumerate(members)]
    observed(common_lake, *((one, species, None, None, author) for one, species, author in named), dataset=dataset)
    found = assigned(common_lake, SplitRecipe(fraction, group_by="author"), dataset)
    drawn = [split for split, reason in found.values() if reason == "drawn"]
    largest = max(Counter(author for _, _, author in named).values())
    assert abs(drawn.count("val") - fraction * len(drawn)) <= largest / 2 + 1e-9
    assert len({(author, found[one]) for one, _, author in named}) == len({author for _, _, author in named})
    assert learnt(found, {one: species for one, species, _ in named}) == {species for _, species, _ in named}


def test_what_leaks_is_parted_by_near_duplicates_and_not_by_observations(lake):
    observed(lake, *many("s1", 20))
    hashed(lake, **{one: number // 2 * 0x0101010101010101 for number, (one, _) in enumerate(many("s1", 20))})
    near = SplitRecipe(0.5, group_by="near_duplicate")
    assigned(lake)
    assigned(lake, near)
    found = splits.leakage(lake, "d", HALF.split_id("d"))
    assert set(found["kind"].to_pylist()) == {"near_duplicate"}
    assert rows(splits.leakage(lake, "d", near.split_id("d"))) == []


def test_shared_authors_are_counted_and_parted_by_author(lake):
    observed(lake, *many("s1", 10, None, None, "ann"), *many("s2", 10, None, None, "bob"), *many("s1 s2", 4))
    by_author = SplitRecipe(0.5, group_by="author")
    assigned(lake)
    assigned(lake, by_author)
    assert rows(splits.shared_origins(lake, "d", HALF.split_id("d")), "kind split origin_count") == [
        ("same_author", "val", 2)
    ]
    assert rows(splits.shared_origins(lake, "d", by_author.split_id("d"))) == []


def test_the_sides_of_a_split_are_counted(lake):
    observed(lake, *many("s1", 4))
    assigned(lake)
    assert splits.side_sizes(lake, HALF.split_id("d")) == {"train": 2, "val": 2}
    assert splits.side_sizes(lake, "another") == {}
