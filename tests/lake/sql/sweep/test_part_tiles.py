import pyarrow as pa
from lake_rows import frame, rows

from lake.decisions import Part, as_frame
from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank"
RECORDS = (("d", "o1", "i1"), ("d", "o1", "i2"), ("d", "o2", "i3"))
PARTS = (Part("fine", "pyramid", 0, 1), Part("coarse", "pyramid", 2, 2))


def tiles(*predictions, records=RECORDS):
    """Count tiles of (model_version, scheme_id, image_id, tile_index, rank)."""
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": frame(COLUMNS, *predictions),
        "observation_numbers": pa.table({"observation_id": ["o1", "o2"], "number": [0, 1]}),
        "parts": as_frame(PARTS),
    }
    return sorted(rows(answer(None, "sweep/part_tiles", frames=frames, dataset="d", model_version="m/1")))


def every_tile(image):
    return [("m/1", "pyramid", image, tile, 1) for tile in range(3)]


def test_the_tiles_of_all_photographs_are_counted_by_part():
    found = tiles(*every_tile("i1"), *every_tile("i2"), *every_tile("i3"))
    assert found == [(0, 0, 4), (0, 1, 2), (1, 0, 2), (1, 1, 1)]


def test_a_tile_counts_once_whatever_it_guesses():
    assert tiles(("m/1", "pyramid", "i1", 0, 1), ("m/1", "pyramid", "i1", 0, 2)) == [(0, 0, 1)]


def test_the_same_bytes_under_two_names_count_once():
    assert tiles(*every_tile("i1"), records=[*RECORDS, RECORDS[0]]) == [(0, 0, 2), (0, 1, 1)]


def test_other_models_tilings_and_data_sets_are_not_counted():
    assert tiles(("m/2", "pyramid", "i1", 0, 1), ("m/1", "whole", "i1", 0, 1)) == []
    assert tiles(*every_tile("i1"), records=[("e", "o1", "i1")]) == []
