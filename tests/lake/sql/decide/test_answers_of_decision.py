from lake_rows import frame, rows

from lake.query import answer


def test_a_decision_comes_with_its_runners_up_and_without_other_decisions():
    predictions = [
        *(("d", "o2", "s1", 0.5, 1, 1, True), ("d", "o1", "s1", 0.25, 1, 2, False), ("d", "o1", "s2", 0.5, 2, 1, True)),
        ("e", "o1", "s3", 0.5, 1, 1, True),
    ]
    columns = "decision_id observation_id species_id score votes rank is_answer"
    frames = {"observation_predictions": frame(columns, *predictions)}
    assert rows(answer(None, "decide/answers_of_decision", frames=frames, decision_id="d")) == [
        ("o1", "s2", 0.5, 2, 1, True),
        ("o1", "s1", 0.25, 1, 2, False),
        ("o2", "s1", 0.5, 1, 1, True),
    ]
