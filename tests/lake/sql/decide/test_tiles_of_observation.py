from lake_rows import frame, rows

from lake.decisions import Part, as_frame
from lake.query import answer

WHOLE = Part("grid-1x2", "grid-1x2")


def tiles(embeddings, predictions, parts=(WHOLE,)):
    frames = {
        "embeddings": frame("embedding_key image_id scheme_id tile_index x0 y0 x1 y1", *embeddings),
        "tile_predictions": frame(
            "model_version image_id scheme_id tile_index rank species_id probability", *predictions
        ),
        "parts": as_frame(parts),
    }
    params = {"embedding_key": "k", "image_id": "i1", "model_version": "m/1"}
    return rows(answer(None, "decide/tiles_of_observation", frames=frames, **params))


def test_tiles_come_in_their_order_each_with_its_place_and_best_species():
    found = tiles(
        [("k", "i1", "grid-1x2", 1, 5, 0, 9, 8), ("k", "i1", "grid-1x2", 0, 0, 0, 5, 8)],
        [
            ("m/1", "i1", "grid-1x2", 1, 1, "s1", 0.5),
            ("m/1", "i1", "grid-1x2", 0, 1, "s2", 0.75),
            ("m/1", "i1", "grid-1x2", 0, 2, "s1", 0.25),
        ],
    )
    assert found == [(0, 0, 0, 0, 5, 8, "s2", 0.75), (0, 1, 5, 0, 9, 8, "s1", 0.5)]


def test_tiles_of_another_key_scheme_image_or_model_are_not_shown():
    place = (0, 0, 0, 5, 8)
    mine = ("m/1", "i1", "grid-1x2", 0, 1, "s1", 0.5)
    assert tiles([("l", "i1", "grid-1x2", *place)], [mine]) == []
    assert tiles([("k", "i2", "grid-1x2", *place)], [mine]) == []
    assert tiles([("k", "i1", "whole", *place)], [mine]) == []
    assert tiles([("k", "i1", "grid-1x2", *place)], [("m/2", *mine[1:])]) == []
    assert tiles([("k", "i1", "grid-1x2", *place)], [("m/1", "i1", "whole", *mine[3:])]) == []
    assert len(tiles([("k", "i1", "grid-1x2", *place)], [mine])) == 1


def test_each_part_comes_with_its_own_tiles():
    embeddings = [("k", "i1", "grid-1x2", tile, tile, 0, tile + 1, 8) for tile in range(4)]
    predictions = [("m/1", "i1", "grid-1x2", tile, 1, "s1", 0.5) for tile in range(4)]
    parts = Part("last", "grid-1x2", 3, 3), Part("first", "grid-1x2", 0, 1)
    assert [row[:2] for row in tiles(embeddings, predictions, parts)] == [(0, 3), (1, 0), (1, 1)]
