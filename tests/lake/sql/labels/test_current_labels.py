from lake_rows import day, frame, rows

from lake.query import answer


def current(*labels):
    frames = {"labels": frame("dataset observation_id species_id labelled_at", *labels)}
    return rows(answer(None, "labels/current_labels", frames=frames, dataset="d"))


def test_the_latest_set_of_an_observation_replaces_the_earlier_ones_whole():
    first = ("d", "o1", "s1", day(1)), ("d", "o1", "s2", day(1))
    assert current(*first, ("d", "o1", "s3", day(2))) == [("o1", "s3")]


def test_all_species_of_the_latest_set_hold():
    assert current(("d", "o1", "s1", day(1)), ("d", "o1", "s2", day(1))) == [("o1", "s1"), ("o1", "s2")]


def test_a_newer_label_of_one_observation_leaves_the_others_alone():
    assert current(("d", "o1", "s1", day(1)), ("d", "o2", "s2", day(2))) == [("o1", "s1"), ("o2", "s2")]


def test_a_newer_label_in_another_data_set_changes_nothing():
    assert current(("d", "o1", "s1", day(1)), ("e", "o1", "s2", day(2))) == [("o1", "s1")]
