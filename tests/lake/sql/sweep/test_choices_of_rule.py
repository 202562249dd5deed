import pytest
from lake_rows import day, frame, rows

from lake.query import answer

COLUMNS = (
    "sweep_id rule_id metric value ci_low ci_high dataset model_version split observation_count swept_at"  # as stored
)


def scored(sweep_id, rule_id, value, split, count=6, on=1, dataset="d"):
    return sweep_id, rule_id, "recall", value, 0.1, 0.9, dataset, "m/1", split, count, day(on)


def chosen(*stored, rule_id="best"):
    found = answer(
        None, "sweep/choices_of_rule", frames={"sweeps": frame(COLUMNS, *stored)}, dataset="d", rule_id=rule_id
    )
    return rows(found, "sweep_id split observation_count value held_out_split held_out_count")


HALVES = (
    scored("a", "best", 0.9, "half"),
    scored("a", "other", 0.8, "half"),
    scored("a-1", "best", 0.6, "other half", 5),
)


def test_a_sweep_chose_the_rule_that_it_scored_on_what_it_had_kept():
    assert chosen(*HALVES) == [("a", "half", 6, 0.6, "other half", 5)]


@pytest.mark.parametrize("rule_id", ["other", "absent"])
def test_a_rule_that_was_only_tried_was_not_chosen(rule_id):
    assert chosen(*HALVES, rule_id=rule_id) == []


def test_the_choice_of_another_data_set_is_none_of_this_one():
    assert chosen(scored("a", "best", 0.9, "half", dataset="e"), scored("a-1", "best", 0.6, "rest", dataset="e")) == []


def test_of_a_sweep_that_kept_nothing_any_rule_may_have_been_chosen():
    stored = (*HALVES, scored("b", "other", 0.7, "val", 1))
    assert chosen(*stored, rule_id="other") == [("b", "val", 1, None, None, None)]


def test_the_latest_choice_comes_first():
    later = (scored("0", "best", 0.5, "half", on=2), scored("0-1", "best", 0.4, "other half", on=2))
    assert [row[0] for row in chosen(*later, *HALVES)] == ["0", "a"]
    assert [row[3] for row in chosen(*later, *HALVES)] == [0.4, 0.6]
