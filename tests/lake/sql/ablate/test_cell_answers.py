from lake_rows import frame, rows

from lake.query import answer


def answered(answers, *cell_ids):
    frames = {"ablation_answers": frame("cell_id observation_id is_right", *answers)}
    return rows(answer(None, "ablate/cell_answers", frames=frames, cell_ids=list(cell_ids)))


def test_answers_come_cell_by_cell_in_the_order_of_the_observations():
    answers = ("c2", "o1", True), ("c1", "o2", False), ("c1", "o10", True)
    assert answered(answers, "c2", "c1") == [("c1", "o10", True), ("c1", "o2", False), ("c2", "o1", True)]


def test_answers_of_other_cells_are_not_seen():
    assert answered([("c1", "o1", True), ("c2", "o1", False)], "c2") == [("c2", "o1", False)]


def test_where_no_cell_is_asked_for_there_is_no_answer():
    assert answered([("c1", "o1", True)]) == []
