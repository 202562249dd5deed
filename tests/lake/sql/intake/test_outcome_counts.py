from lake_rows import frame, rows

from lake.query import answer


def counts(*found):
    frames = {"outcomes": frame("outcome kind is_known_issue", *found)}
    return rows(answer(None, "intake/outcome_counts", frames=frames), "outcome kind row_count new_count")


def test_outcomes_are_counted_by_reason():
    found = [("new", None, False), ("set_aside", "truncated", False), ("set_aside", "unreadable", False)]
    assert counts(*found, found[0]) == [
        ("new", None, 2, 2),
        ("set_aside", "truncated", 1, 1),
        ("set_aside", "unreadable", 1, 1),
    ]


def test_what_was_set_aside_before_is_not_new():
    assert counts(("set_aside", "truncated", True), ("set_aside", "truncated", False)) == [
        ("set_aside", "truncated", 2, 1)
    ]
