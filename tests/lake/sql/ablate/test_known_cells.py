from lake_rows import frame, rows

from lake.query import answer


def known(cells, *cell_ids, columns="cell_id accuracy"):
    frames = {
        "ablations": frame(
            "cell_id choices refusal observation_count accuracy macro_f1 ece mlflow_run_id",
            *((cell_id, "{}", refusal, 4, accuracy, accuracy, 0.1, "r") for cell_id, refusal, accuracy in cells),
        )
    }
    return rows(answer(None, "ablate/known_cells", frames=frames, cell_ids=list(cell_ids)), columns)


def test_only_the_cells_that_are_asked_for_are_known_in_the_order_of_their_ids():
    cells = [("c3", None, 0.3), ("c1", None, 0.1), ("c2", None, 0.2)]
    assert known(cells, "c3", "c1", "c9") == [("c1", 0.1), ("c3", 0.3)]


def test_a_cell_that_was_refused_is_known_with_the_reason_and_without_scores():
    assert known([("c1", "no such pair", None)], "c1", columns="refusal accuracy") == [("no such pair", None)]


def test_where_no_cell_is_asked_for_none_is_known():
    assert known([("c1", None, 0.1)]) == []
