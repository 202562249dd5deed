import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer


def test_observations_of_the_data_set_go_by_their_numbers():
    places = ("p", "d", "o2", "NO"), ("q", "d", "o2", "SE"), ("p", "e", "o1", "NO"), ("p", "d", "o9", "NO")
    frames = {
        "prior_places": frame("prior_id dataset observation_id place", *places),
        "observation_numbers": pa.table({"observation_id": ["o1", "o2"], "number": [0, 1]}),
    }
    found = rows(answer(None, "sweep/numbered_places", frames=frames, dataset="d"))
    assert sorted(found) == [("p", "d", 1, "NO"), ("q", "d", 1, "SE")]
