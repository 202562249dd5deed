import math

import pyarrow as pa
import pytest
from lake_rows import frame

from lake.decisions import Part, as_frame
from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank species_id probability"
RECORDS = (("d", "o1", "i1"), ("d", "o2", "i2"))
LEVELS = (Part("fine", "pyramid", 0, 1), Part("coarse", "pyramid", 2, 2), Part("whole", "whole"))


def scores(*predictions, counted_ranks=9, voting_ranks=1, min_probability=0.0, records=RECORDS, parts=LEVELS):
    """Score (scheme_id, image_id, tile_index, rank, species_id, probability) of model m/1."""
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": frame(COLUMNS, *(("m/1", *one) for one in predictions), ("m/2", *predictions[0])),
        "observation_numbers": pa.table({"observation_id": ["o1", "o2"], "number": [0, 1]}),
        "species_numbers": pa.table({"species_id": ["s1", "s2"], "number": [0, 1]}),
        "parts": as_frame(parts),
    }
    asked = {
        **{"dataset": "d", "model_version": "m/1", "counted_ranks": counted_ranks},
        **{"voting_ranks": voting_ranks, "min_probability": min_probability},
    }
    found = answer(None, "sweep/part_scores", frames=frames, **asked).to_pylist()
    return {tuple(row.pop(name) for name in ("observation_id", "species_id", "part")): row for row in found}


FINE = [("pyramid", "i1", 0, 1, "s1", 0.5), ("pyramid", "i1", 1, 1, "s1", 0.75), ("pyramid", "i1", 1, 2, "s2", 0.25)]


def test_each_part_keeps_what_any_pooling_needs():
    found = scores(*FINE)
    doubt = pytest.approx(math.log(0.5 * 0.25))
    assert found[0, 0, 0] == {"highest": 0.75, "total": 1.25, "doubt": doubt, "votes": 2}
    assert found[0, 1, 0] == {"highest": 0.25, "total": 0.25, "doubt": pytest.approx(math.log(0.75)), "votes": 0}


def test_the_tiles_of_each_part_stand_for_themselves():
    found = scores(*FINE, ("pyramid", "i1", 2, 1, "s1", 0.25), ("whole", "i1", 0, 1, "s2", 0.5))
    assert found.keys() == {(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 2)}
    assert found[0, 0, 1]["votes"] == 1


def test_a_tile_may_count_in_two_parts():
    found = scores(*FINE, parts=[*LEVELS, Part("pyramid", "pyramid")])
    assert found[0, 0, 3] == found[0, 0, 0]


def test_a_certain_tile_leaves_a_doubt_that_is_a_number():
    assert math.isfinite(scores(("whole", "i1", 0, 1, "s1", 1.0))[0, 0, 2]["doubt"])


def test_only_the_best_ranks_count_and_only_sure_tiles_vote():
    assert (0, 1, 0) not in scores(*FINE, counted_ranks=1)
    assert scores(*FINE, voting_ranks=2)[0, 1, 0]["votes"] == 1
    assert scores(*FINE, min_probability=0.75)[0, 0, 0] == scores(*FINE)[0, 0, 0] | {"votes": 1}


def test_the_same_bytes_under_two_names_count_once():
    assert scores(*FINE, records=[*RECORDS, RECORDS[0]]) == scores(*FINE)


def test_other_data_sets_have_no_say():
    assert scores(*FINE, records=[("e", "o1", "i1")]) == {}
