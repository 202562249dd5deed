import pytest
from lake_rows import held

from lake import ledger
from lake.errors import RowsRefusedError


def test_a_stage_is_recorded_once_with_its_cost(lake):
    for expected in (1, 0):
        done = ledger.record_stage(lake, "run", "embed", "d", 10, 5, 2.0, 1000, image_count=4)
        assert done.row_count == expected
    columns = "flow_run_id stage dataset rows reused seconds bytes images_per_second"
    assert held(lake, "stage_runs", columns) == [("run", "embed", "d", 10, 5, 2.0, 1000, 2.0)]


def test_a_stage_that_measures_it_says_where_its_seconds_went_and_others_say_nothing(lake):
    ledger.record_stage(lake, "run", "embed", "d", 1, 0, 9.0, split={"decode": 2.0, "forward": 5.5, "write": 0.5})
    ledger.record_stage(lake, "run", "train", "d", 1, 0, 9.0)
    columns = "stage decode_seconds forward_seconds write_seconds"
    assert held(lake, "stage_runs", columns) == [("embed", 2.0, 5.5, 0.5), ("train", None, None, None)]


@pytest.mark.parametrize(("seconds", "images"), [(0.0, 4), (2.0, None)])
def test_a_rate_that_means_nothing_is_left_out(lake, seconds, images):
    ledger.record_stage(lake, "run", "train", "d", 1, 0, seconds, image_count=images)
    assert held(lake, "stage_runs", "images_per_second") == [(None,)]


def test_a_class_map_is_recorded_once_in_its_order(lake):
    for expected in (2, 0):
        assert ledger.record_class_map(lake, "c", ["s2", "s1"], {"s1": 7}, "run").row_count == expected
    columns = "class_map_id class_index species_id train_count is_dropped"
    assert held(lake, "class_maps", columns) == [("c", 0, "s2", 0, False), ("c", 1, "s1", 7, False)]


def test_species_with_too_few_photographs_follow_a_class_map_as_dropped(lake):
    ledger.record_class_map(lake, "c", ["s3", "s1"], {"s1": 7, "s4": 1, "s3": 9, "s2": 2}, "run")
    columns = "class_index species_id train_count is_dropped"
    assert held(lake, "class_maps", columns) == [
        (0, "s3", 9, False),
        (1, "s1", 7, False),
        (2, "s2", 2, True),
        (3, "s4", 1, True),
    ]


def test_a_retraining_without_a_champion_before_it_is_recorded(lake):
    row = {
        "retrain_id": "r1",
        "flow_run_id": "run",
        "dataset": "d",
        "model": "m",
        "challenger": "m/1",
        "metric": "macro_f1",
        "challenger_score": 0.5,
        "decision": "first",
        "reason": "there was no champion",
        "signals": "{}",
        "checks": "[]",
    }
    ledger.record_retrain(lake, row)
    assert held(lake, "retrain_decisions", "champion champion_score challenger") == [(None, None, "m/1")]
    with pytest.raises(RowsRefusedError, match="reason is null"):
        ledger.record_retrain(lake, {**row, "retrain_id": "r2", "reason": None})
