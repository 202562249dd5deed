import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer


def test_observations_go_by_their_numbers_also_without_a_base_quadrat():
    frames = {
        "base_quadrats": frame("observation_id base_quadrat", ("o1", "north"), ("o2", None), ("o9", "north")),
        "observation_numbers": pa.table({"observation_id": ["o1", "o2"], "number": [0, 1]}),
    }
    assert sorted(rows(answer(None, "sweep/numbered_base_quadrats", frames=frames))) == [(0, "north"), (1, None)]
