from datetime import UTC, datetime, timedelta

from lake_rows import filled, rows

from lake.query import answer

START = datetime(2026, 1, 1, tzinfo=UTC)
PROMOTED = ("p1", "done", "flora", "flora/1:a", "flora/2:b")


def pending(*decided, promoted=(PROMOTED,), observations=("o1", "o2")):
    columns = "decision_id dataset model_version split rule_id rule observation_count decided_at"
    made = [(*row, START + timedelta(hours=hour)) for hour, row in enumerate(decided)]
    frames = {
        "decisions": filled("decisions", columns, *made),
        "promotions": filled("promotions", "promotion_id step model from_version to_version", *promoted),
        "image_records": filled(
            "image_records", "dataset image_name observation_id", *(("q", f"{one}.jpg", one) for one in observations)
        ),
    }
    found = answer(None, "retrain/answers_to_renew", frames=frames, model="flora", champion="flora/2:b")
    return rows(found, "dataset rule_id rule earlier_id")


def decided(decision, version, rule="r", split="all", count=2):
    return decision, "q", version, split, rule, f"{{{rule}}}", count


def test_what_an_earlier_champion_has_answered_the_one_of_today_answers():
    assert pending(decided("d1", "flora/1:a")) == [("q", "r", "{r}", "d1")]


def test_what_it_has_answered_is_not_pending():
    assert pending(decided("d1", "flora/1:a"), decided("d2", "flora/2:b")) == []


def test_observations_that_came_since_are_pending():
    found = pending(decided("d1", "flora/2:b"), observations=("o1", "o2", "o3"))
    assert found == [("q", "r", "{r}", None)]


def test_each_rule_is_renewed_by_itself_and_what_comes_after_is_compared_with_the_newest():
    found = pending(decided("d1", "flora/1:a"), decided("d2", "flora/1:a"), decided("d3", "flora/1:a", "s"))
    assert found == [("q", "r", "{r}", "d2"), ("q", "s", "{s}", "d3")]


def test_what_was_tried_with_a_version_that_was_never_champion_is_not_renewed():
    assert pending(decided("d1", "flora/3:c")) == []
    assert pending(decided("d1", "flora/1:a"), promoted=()) == []


def test_scores_of_held_out_observations_are_no_answers():
    assert pending(decided("d1", "flora/1:a", split="test")) == []
