import pytest
from lake_rows import frame, offenders

BEST = ("m/1", "whole", "i1", 0, 1)


def odd(predictions, tiles=(("k", "whole", "i1", 0),), scope=("o1",)):
    frames = {
        "image_records": frame("dataset observation_id image_id", ("d", "o1", "i1")),
        "embeddings": frame("embedding_key scheme_id image_id tile_index", *tiles),
        "tile_predictions": frame("model_version scheme_id image_id tile_index rank", *predictions),
        "scope": frame("observation_id", *((one,) for one in scope)),
    }
    params = {"dataset": "d", "embedding_key": "k", "scheme_id": "whole", "model_version": "m/1"}
    return offenders("every_tile_is_predicted_once", frames, **params)


def test_a_tile_with_one_best_prediction_is_right():
    assert odd([BEST, ("m/1", "whole", "i1", 0, 2)]) == []


def test_a_tile_without_a_prediction_is_found():
    assert odd([BEST], [("k", "whole", "i1", 0), ("k", "whole", "i1", 1)]) == [("i1", 1, 0)]


def test_a_tile_that_was_predicted_twice_is_found():
    assert odd([BEST, BEST]) == [("i1", 0, 2)]


@pytest.mark.parametrize("other", [("m/2", "whole", "i1", 0, 1), ("m/1", "grid-2x2", "i1", 0, 1)])
def test_predictions_of_another_model_or_scheme_do_not_count(other):
    assert odd([other]) == [("i1", 0, 0)]


def test_tiles_out_of_scope_are_not_asked():
    assert odd([], scope=("o2",)) == []
