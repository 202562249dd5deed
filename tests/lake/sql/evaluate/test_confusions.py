from lake_rows import frame, rows

from lake.species_scores import confusions


def confused(*cases, limit=9):
    """List the confusions of (observation, true species, answered species, probability)."""
    answers = [(one, answered, probability) for one, _, answered, probability in cases if answered is not None]
    return rows(
        confusions(
            frame("observation_id species_id probability", *answers),
            frame("observation_id species_id", *[(one, true) for one, true, _, _ in cases if true is not None]),
            limit,
        )
    )


def test_what_was_confused_most_often_stands_first():
    found = confused(("o1", "s1", "s2", 0.5), ("o2", "s3", "s4", 0.5), ("o3", "s3", "s4", 0.4))
    assert found == [("s3", "s4", 2, "o2"), ("s1", "s2", 1, "o1")]


def test_taking_one_for_the_other_is_not_taking_the_other_for_the_one():
    found = confused(("o1", "s1", "s2", 0.5), ("o2", "s2", "s1", 0.5))
    assert found == [("s1", "s2", 1, "o1"), ("s2", "s1", 1, "o2")]


def test_its_example_was_answered_with_the_highest_probability():
    assert confused(("o1", "s1", "s2", 0.5), ("o2", "s1", "s2", 0.9), ("o3", "s1", "s2", 0.7))[0][-1] == "o2"


def test_ties_go_to_the_smaller_ids():
    found = confused(
        *[("o4", "s2", "s1", 0.5), ("o3", "s1", "s3", 0.5), ("o2", "s1", "s2", 0.5), ("o1", "s1", "s2", 0.5)],
        ("o5", "s1", "s3", 0.1),
    )
    assert found == [("s1", "s2", 2, "o1"), ("s1", "s3", 2, "o3"), ("s2", "s1", 1, "o4")]


def test_a_right_answer_and_no_answer_are_no_confusion():
    assert confused(("o1", "s1", "s1", 0.9), ("o2", "s1", None, 0.0), ("o3", None, "s1", 0.9)) == []


def test_no_more_pairs_are_listed_than_asked_for():
    cases = [(f"o{number}", "s0", f"s{number}", 0.5) for number in range(1, 5)]
    assert [answered for _, answered, _, _ in confused(*cases, limit=2)] == ["s1", "s2"]
