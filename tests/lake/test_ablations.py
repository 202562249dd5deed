import numpy as np
import pytest
from lake_rows import held
from own_processes import killed_before_append

from lake import ablations, tables

CELL = {
    "cell_id": "c1",
    "dataset": "d",
    "choices": '{"head": "linear"}',
    "recipe": "{}",
    "observation_count": 2,
    "accuracy": 0.5,
    "seconds": 1.0,
    "flow_run_id": "run",
}
ANSWERS = {
    "observation_id": ["o2", "o1"],
    "species_id": ["s1", "s2"],
    "probability": [0.9, 0.4],
    "is_right": [True, False],
}


def record(lake, cell_id="c1", **answers):
    ablations.record(lake, {**CELL, "cell_id": cell_id}, {**ANSWERS, **answers})


def test_a_cell_is_known_once_it_is_recorded(lake):
    assert ablations.known(lake, ["c1"]) == {}
    record(lake)
    known = ablations.known(lake, ["c1", "c2"])
    assert known.keys() == {"c1"}
    assert (known["c1"]["accuracy"], known["c1"]["refusal"], known["c1"]["choices"]) == (0.5, None, CELL["choices"])


def test_a_cell_that_is_recorded_again_is_there_once_and_nothing_is_committed(lake):
    record(lake)
    before = tables.latest(lake, "ablations", "ablation_answers")
    record(lake)
    assert tables.latest(lake, "ablations", "ablation_answers") == before


def test_a_recording_that_is_killed_leaves_no_cell_without_answers_and_is_made_good(lake):
    assert killed_before_append(record, (lake,), "ablations", 1)
    assert ablations.known(lake, ["c1"]) == {}
    record(lake)
    assert ablations.known(lake, ["c1"]).keys() == {"c1"}
    assert held(lake, "ablation_answers", "cell_id observation_id species_id") == [
        ("c1", "o1", "s2"),
        ("c1", "o2", "s1"),
    ]


def test_a_cell_that_was_refused_is_recorded_without_answers(lake):
    cell = {name: value for name, value in CELL.items() if name != "accuracy"}
    ablations.record(lake, {**cell, "observation_count": 0, "refusal": "no such pair"}, {})
    assert ablations.known(lake, ["c1"])["c1"]["refusal"] == "no such pair"
    assert held(lake, "ablation_answers", "cell_id") == []


def test_what_was_answered_right_comes_in_the_order_of_the_observations_for_each_cell(lake):
    record(lake, "c2", is_right=[True, True])
    record(lake, "c1")
    found = ablations.is_right(lake, ["c2", "c1"])
    assert list(found) == ["c2", "c1"]
    assert {cell: (names, right.tolist()) for cell, (names, right) in found.items()} == {
        "c2": (["o1", "o2"], [1.0, 1.0]),
        "c1": (["o1", "o2"], [0.0, 1.0]),
    }
    assert found["c1"][1].dtype == np.float64


@pytest.mark.parametrize("cell_ids", [[], ["c9"]])
def test_a_cell_that_nobody_tried_has_no_answer(lake, cell_ids):
    record(lake)
    assert [(names, len(right)) for names, right in ablations.is_right(lake, cell_ids).values()] == [([], 0)] * len(
        cell_ids
    )
