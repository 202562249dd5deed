from lake_rows import frame
from review_rows import floats, found

CHANGED = frame("species_id accepted_id", ("old", "s1"), ("split", None))


def probabilities(*scores, is_one=True):
    frames = {"scores": floats("observation_id species_id score", *scores), "accepted_species": CHANGED}
    return found("probabilities", frames, is_one=is_one)


def test_species_that_have_become_one_are_as_probable_as_both_of_one_organism():
    scores = [("o1", "old", 0.25), ("o1", "s1", 0.5)]
    assert probabilities(*scores) == [("o1", "s1", 0.75)]
    assert probabilities(*scores, is_one=False) == [("o1", "s1", 0.5)]


def test_a_species_that_was_split_stays_what_it_was():
    assert probabilities(("o1", "split", 0.25)) == [("o1", "split", 0.25)]


def test_nothing_is_more_than_certain():
    assert probabilities(("o1", "old", 0.6), ("o1", "s1", 0.6)) == [("o1", "s1", 1.0)]
