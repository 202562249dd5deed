from lake_rows import frame, rows

from lake.query import answer


def accepted(labels, changes=()):
    frames = {
        "current_labels": frame("observation_id species_id", *labels),
        "accepted_species": frame("species_id accepted_id", *changes),
    }
    return rows(answer(None, "labels/accepted_labels", frames=frames))


def test_a_species_that_has_not_changed_stays():
    assert accepted([("o2", "a"), ("o1", "b")]) == [("o1", "b"), ("o2", "a")]


def test_a_species_that_has_changed_goes_by_its_new_id():
    assert accepted([("o1", "a"), ("o2", "x")], [("a", "b")]) == [("o1", "b"), ("o2", "x")]


def test_two_species_of_a_quadrat_that_have_become_one_are_one_label():
    assert accepted([("q1", "a"), ("q1", "b")], [("a", "b")]) == [("q1", "b")]


def test_an_observation_with_a_species_that_was_split_is_left_out_whole():
    assert accepted([("q1", "a"), ("q1", "x"), ("o2", "x")], [("a", None)]) == [("o2", "x")]
