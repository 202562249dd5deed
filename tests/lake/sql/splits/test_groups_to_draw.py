from hashlib import md5

from lake_rows import frame, rows

from lake.query import answer


def to_draw(waiting, labelled, splits=(), seed="0"):
    """Ask for the groups of waiting (observation_id, group_id, split)."""
    frames = {
        "waiting": frame("observation_id group_id split", *waiting),
        "current_labels": frame("observation_id species_id", *labelled),
        "splits": frame("split_id observation_id split", *splits),
    }
    return rows(answer(None, "splits/groups_to_draw", frames=frames, split_id="p", seed=seed))


def test_a_group_says_how_much_of_each_species_it_holds():
    waiting = [("o1", "g", None), ("o2", "g", None), ("o3", "g", None), ("o4", "h", None)]
    found = to_draw(waiting, [("o1", "s1"), ("o2", "s1"), ("o3", "s2"), ("o4", "s1")])
    assert sorted(found) == [("g", 3, "s1", 2, 3), ("g", 3, "s2", 1, 1), ("h", 1, "s1", 1, 3)]


def test_what_has_a_side_already_is_not_drawn():
    assert to_draw([("o1", "g", "test")], [("o1", "s1")]) == []


def test_what_is_or_may_be_trained_on_is_learnable_and_what_is_held_out_is_not():
    waiting = [("o1", "o1", None), ("o2", "o2", "train"), ("o3", "o3", "test")]
    splits = [("p", "o4", "train"), ("p", "o5", "val"), ("q", "o6", "train")]
    labelled = [(f"o{number}", "s1") for number in range(1, 7)]
    assert to_draw(waiting, labelled, splits) == [("o1", 1, "s1", 1, 3)]


def test_groups_lie_by_their_commonest_species_and_then_in_the_order_of_the_seed():
    names = [f"g{number}" for number in range(6)]
    waiting = [(f"{name}-{member}", name, None) for name in names for member in range(3)]
    labelled = [(one, "s1" if int(group[1]) % 2 == 0 or one.endswith("0") else "s0") for one, group, _ in waiting]
    for seed in "01":
        found = list(dict.fromkeys(row[0] for row in to_draw(waiting, labelled, seed=seed)))
        shuffled = sorted(names, key=lambda name, seed=seed: md5(f"{seed}:{name}".encode()).hexdigest())
        assert found == sorted(shuffled, key=lambda name: name in ("g0", "g2", "g4"))


def test_an_observation_of_several_species_lies_with_the_commonest_of_them():
    waiting = [("q", "q", None), *((f"o{number}", f"o{number}", None) for number in range(3))]
    labelled = [("q", "s0"), ("q", "s9"), ("o0", "s9"), ("o1", "s9"), ("o2", "s5")]
    found = to_draw(waiting, labelled)
    assert next(iter(found))[0] == "o2"
    assert [row for row in found if row[0] == "q"] == [("q", 1, "s0", 1, 1), ("q", 1, "s9", 1, 3)]
