import pyarrow as pa
import pytest

from lake.query import answer

SCORES = pa.table(
    {
        "observation_id": [0, 0, 0, 1],
        "species_id": [5, 5, 6, 5],
        "part": [0, 1, 1, 0],
        "highest": pa.array([0.5, 0.75, 0.25, 0.125], pa.float32()),
        "total": [1.0, 0.75, 0.25, 0.125],
        "doubt": [-1.0, -2.0, -0.25, -0.125],
        "votes": [2, 1, 0, 1],
    }
)
TILES = pa.table({"observation_id": [0, 0, 1], "part": [0, 1, 0], "tile_count": [3, 1, 2]})


def chosen(*parts):
    frames = {"part_scores": SCORES, "part_tiles": TILES}
    found = answer(None, "sweep/chosen_parts", frames=frames, parts=list(parts)).to_pylist()
    return {(row.pop("observation_id"), row.pop("species_id")): row for row in found}


def test_the_tiles_of_chosen_parts_speak_together():
    assert chosen(0, 1)[0, 5] == {"highest": 0.75, "total": 1.75, "mean": 1.75 / 4, "doubt": -3.0, "votes": 3}


def test_the_mean_is_over_all_tiles_also_those_that_do_not_name_the_species():
    assert chosen(0, 1)[0, 6]["mean"] == 0.25 / 4
    assert chosen(1)[0, 6]["mean"] == 0.25


@pytest.mark.parametrize(("parts", "pairs"), [((0,), {(0, 5), (1, 5)}), ((1,), {(0, 5), (0, 6)}), ((2,), set())])
def test_other_parts_have_no_say(parts, pairs):
    assert chosen(*parts).keys() == pairs


def test_the_order_of_the_parts_does_not_matter():
    assert chosen(1, 0) == chosen(0, 1)
