import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer


def test_scores_go_by_numbers():
    frames = {
        "scores": frame("observation_id species_id score votes", ("o2", "s1", 0.5, 1), ("o1", "s2", 0.25, 0)),
        "observation_numbers": pa.table({"observation_id": ["o1", "o2"], "number": [0, 1]}),
        "species_numbers": pa.table({"species_id": ["s1", "s2"], "number": [7, 8]}),
    }
    assert sorted(rows(answer(None, "sweep/numbered_scores", frames=frames))) == [(0, 8, 0.25, 0), (1, 7, 0.5, 1)]
