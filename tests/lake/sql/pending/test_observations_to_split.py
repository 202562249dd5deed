from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame, rows

from lake.query import answer


def assigned(labelled, tags=None, splits=(), val_fraction=0.5, seed="0"):
    """Split observations that are labelled (observation_id, species_id); those without a tag carry none."""
    tags = {observation: None for observation, _ in labelled} | dict(tags or {})
    frames = {
        "tags": frame("observation_id tag", *tags.items()),
        "current_labels": frame("observation_id species_id", *labelled),
        "splits": frame("split_id observation_id split reason", *splits),
    }
    found = answer(
        None,
        "pending/observations_to_split",
        frames=frames,
        split_id="p",
        val_fraction=val_fraction,
        seed=seed,
    )
    return {observation: (split, reason) for observation, split, reason in rows(found)}


def sides(found):
    return sorted(split for split, _ in found.values())


def many(species, count):
    return [(f"{species}-{number:03}", species) for number in range(count)]


def test_the_share_is_drawn_into_val():
    assert sides(assigned(many("s1", 10), val_fraction=0.2)) == ["train"] * 8 + ["val"] * 2


@pytest.mark.parametrize("percent", [7, 10, 29, 50])
def test_the_share_of_a_hundred_is_whole(percent):
    assert sides(assigned(many("s1", 100), val_fraction=percent / 100)).count("val") == percent


def test_the_share_is_kept_however_few_come_at_a_time():
    splits = []
    for count in (4, 8, 12, 16, 20):
        places = assigned(many("s1", count), splits=splits, val_fraction=0.2)
        splits += [("p", one, split, reason) for one, (split, reason) in places.items()]
    assert [split for _, _, split, _ in splits].count("val") == 4


def test_each_species_gives_its_share():
    found = assigned([*many("s1", 10), *many("s2", 10)], val_fraction=0.2)
    assert sorted(one[:2] for one, (split, _) in found.items() if split == "val") == ["s1", "s1", "s2", "s2"]


def test_a_species_seen_once_is_never_drawn_into_val():
    once = [(f"o{number}", f"s{number}") for number in range(20)]
    assert set(assigned(once, val_fraction=0.5).values()) == {("train", "given")}


def test_a_split_that_the_source_gives_is_kept():
    tags = {"s1-000": "train", "s1-001": "val", "s1-002": "test"}
    found = assigned(many("s1", 3), tags)
    assert found == {one: (tag, "given") for one, tag in tags.items()}


def test_nothing_is_drawn_into_val_where_the_source_gives_a_val():
    found = assigned(many("s1", 20), {"s1-000": "val"}, val_fraction=0.5)
    assert [one for one, (split, _) in found.items() if split == "val"] == ["s1-000"]


def test_test_observations_are_not_drawn_from():
    found = assigned(many("s1", 20), {f"s1-{number:03}": "test" for number in range(10)}, val_fraction=0.5)
    assert sides(found) == ["test"] * 10 + ["train"] * 5 + ["val"] * 5


def test_another_seed_draws_others():
    draws = {tuple(sorted(assigned(many("s1", 20), seed=seed).items())) for seed in "0123"}
    assert len(draws) == 4


def test_an_observation_without_a_label_has_no_place():
    assert assigned([("o1", "s1")], {"o2": "train"}).keys() == {"o1"}


def test_an_observation_that_has_a_place_is_not_asked_again():
    assert assigned(many("s1", 2), splits=[("p", "s1-000", "train", "drawn")]).keys() == {"s1-001"}


def test_a_place_in_another_split_is_none():
    assert assigned(many("s1", 2), splits=[("q", "s1-000", "train", "drawn")]).keys() == {"s1-000", "s1-001"}


def test_an_observation_of_several_species_has_one_place():
    assert len(assigned([("o1", "s1"), ("o1", "s2")])) == 1


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=7), min_size=1, max_size=3),
    st.sampled_from([0.1, 0.2, 0.25, 0.5]),
)
def test_however_the_data_grow_the_share_of_val_is_kept_and_no_species_is_only_in_val(batches, fraction):
    labelled, splits = [], []
    for number, batch in enumerate(batches):
        labelled += [(f"{number}-{position}", species) for position, species in enumerate(batch)]
        places = assigned(labelled, splits=splits, val_fraction=fraction)
        splits += [("p", one, split, reason) for one, (split, reason) in places.items()]
    split_of = {one: split for _, one, split, _ in splits}
    drawn = [split for _, _, split, reason in splits if reason == "drawn"]
    assert drawn.count("val") == floor(len(drawn) * fraction + 1e-9)
    assert split_of.keys() == dict(labelled).keys()
    for species in {species for _, species in labelled}:
        assert "train" in {split_of[one] for one, other in labelled if other == species}
