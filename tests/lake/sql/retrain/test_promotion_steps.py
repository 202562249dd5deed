from datetime import UTC, datetime, timedelta

from lake_rows import filled, rows

from lake.query import answer

START = datetime(2026, 1, 1, tzinfo=UTC)


def steps(*told):
    columns = "promotion_id step model kind from_version to_version reason recorded_at"
    made = [(*row, START + timedelta(hours=hour)) for hour, row in enumerate(told)]
    frames = {"promotions": filled("promotions", columns, *made)}
    found = answer(None, "retrain/promotion_steps", frames=frames, model="flora")
    return rows(found, "promotion_id kind from_version to_version reason is_done")


def test_a_promotion_is_done_when_it_was_concluded():
    intended = ("p1", "intended", "flora", "promote", "flora/1", "flora/2", "better")
    assert steps(intended) == [("p1", "promote", "flora/1", "flora/2", "better", False)]
    done = ("p1", "done", "flora", "promote", "flora/1", "flora/2", "better")
    assert steps(intended, done) == [("p1", "promote", "flora/1", "flora/2", "better", True)]


def test_promotions_stand_in_the_order_in_which_they_were_intended():
    found = steps(
        ("z", "intended", "flora", "promote", "flora/1", "flora/2", "better"),
        ("a", "intended", "flora", "rollback", "flora/2", "flora/1", "worse"),
        ("z", "done", "flora", "promote", "flora/1", "flora/2", "better"),
    )
    assert [row[0] for row in found] == ["z", "a"]


def test_other_models_are_not_meant():
    assert steps(("p1", "intended", "fauna", "promote", None, "fauna/1", "better")) == []
