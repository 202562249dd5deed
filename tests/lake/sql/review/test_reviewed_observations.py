from lake_rows import day, filled
from review_rows import found


def reviewed(*words):
    """Return the observations that a review has said, by labels (species_id, source, status, day) of o1."""
    names = "dataset observation_id species_id source status labelled_at"
    rows = [("d", "o1", *word[:-1], day(word[-1])) for word in words]
    return found("reviewed_observations", {"labels": filled("labels", names, *rows)}, dataset="d")


A = ("s1", "/a.csv", "given", 1)


def test_a_review_that_holds_has_been_said():
    assert reviewed(A, ("s2", "review", "given", 2)) == [("o1",)]
    assert reviewed(A) == []


def test_a_review_that_is_overtaken_has_not():
    assert reviewed(A, ("s2", "review", "given", 2), ("s3", "/a.csv", "given", 3)) == []


def test_a_review_with_which_a_source_agrees_later_has():
    assert reviewed(A, ("s2", "anna", "given", 2), ("s2", "/a.csv", "given", 3)) == [("o1",)]
    assert reviewed(A, ("s2", "anna", "given", 2), ("s9", "anna", "given", 2), ("s2", "/a.csv", "given", 3)) == []


def test_what_a_source_has_taken_back_overtakes_nothing():
    words = [("s2", "review", "given", 1), ("s1", "/a.csv", "given", 2), ("s1", "/a.csv", "withdrawn", 3)]
    assert reviewed(*words) == [("o1",)]
