import math

import pyarrow as pa
import pytest

from lake.query import answer

CHOSEN = pa.table(
    {
        "observation_id": [0],
        "species_id": [5],
        "highest": pa.array([0.75], pa.float32()),
        "total": [1.25],
        "mean": [0.3125],
        "doubt": [math.log(0.125)],
        "votes": [2],
    }
)


@pytest.mark.parametrize(
    ("pooling", "score"),
    [
        *(("votes", 0.75), ("max", 0.75), ("sum", 1.25), ("mean", 0.3125)),
        *(("mode", 0.3125), ("noisy_or", 0.875)),
    ],
)
def test_each_pooling_has_its_score(pooling, score):
    (row,) = answer(None, "sweep/scores_of_parts", frames={"chosen_parts": CHOSEN}, pooling=pooling).to_pylist()
    assert row == {"observation_id": 0, "species_id": 5, "score": score, "votes": 2}
