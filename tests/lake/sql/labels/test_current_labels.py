from lake_rows import day, frame, rows

from lake.query import answer


def current(*labels):
    """Return what holds of labels (dataset, observation_id, species_id, day[, status[, source]])."""
    said = [(*label, *("given", "here")[len(label) - 4 :]) for label in labels]
    frames = {"labels": frame("dataset observation_id species_id labelled_at status source", *said)}
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


def test_a_set_that_was_withdrawn_does_not_hold_nor_does_the_one_before_it():
    assert current(("d", "o1", "s1", day(1)), ("d", "o1", "s1", day(2), "withdrawn")) == []


def test_a_set_that_was_given_again_holds():
    withdrawn = ("d", "o1", "s1", day(2), "withdrawn")
    assert current(("d", "o1", "s1", day(1)), withdrawn, ("d", "o1", "s1", day(3))) == [("o1", "s1")]


def test_what_two_sources_say_at_one_moment_is_said_once():
    assert current(("d", "o1", "s1", day(1)), ("d", "o1", "s1", day(1), "given", "there")) == [("o1", "s1")]


def test_the_latest_source_holds():
    assert current(("d", "o1", "s1", day(1)), ("d", "o1", "s2", day(2), "given", "there")) == [("o1", "s2")]


def test_a_source_that_takes_its_word_back_takes_back_no_other_ones():
    other = ("d", "o1", "s1", day(1), "given", "there")
    assert current(other, ("d", "o1", "s2", day(2)), ("d", "o1", "s2", day(3), "withdrawn")) == [("o1", "s1")]
