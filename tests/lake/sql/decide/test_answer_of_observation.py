from lake_rows import frame, rows

from lake.query import answer


def found(*predictions):
    columns = "decision_id observation_id species_id score votes rank is_answer"
    frames = {"observation_predictions": frame(columns, *predictions)}
    return rows(answer(None, "decide/answer_of_observation", frames=frames, decision_id="d", observation_id="o1"))


def test_the_best_species_comes_first():
    predictions = ("d", "o1", "s2", 0.5, 2, 2, True), ("d", "o1", "s1", 0.4, 3, 1, True)
    assert found(*predictions) == [("s1", 0.4, 3), ("s2", 0.5, 2)]


def test_runners_up_are_no_answer():
    assert found(("d", "o1", "s1", 0.5, 2, 1, True), ("d", "o1", "s2", 0.4, 0, 2, False)) == [("s1", 0.5, 2)]


def test_other_decisions_and_observations_are_not_seen():
    assert found(("e", "o1", "s1", 0.5, 2, 1, True), ("d", "o2", "s1", 0.5, 2, 1, True)) == []
