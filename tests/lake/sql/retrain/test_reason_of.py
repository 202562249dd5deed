from lake_rows import filled

from lake.query import answer


def test_the_reason_is_that_of_the_row_asked_for():
    frames = {"retrain_decisions": filled("retrain_decisions", "retrain_id reason", ("r1", "better"), ("r2", "worse"))}
    for retrain_id, found in (("r2", ["worse"]), ("r3", [])):
        rows = answer(None, "retrain/reason_of", frames=frames, retrain_id=retrain_id)
        assert rows["reason"].to_pylist() == found
