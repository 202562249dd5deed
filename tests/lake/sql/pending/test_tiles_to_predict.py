import pytest
from lake_rows import frame, rows

from lake.query import answer


def pending(records=(("d", "o1", "i1"),), embedded=(("k", "whole", "i1"),), predicted=(), scope=("o1",)):
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "embeddings": frame("embedding_key scheme_id image_id", *embedded),
        "tile_predictions": frame("model_version scheme_id image_id", *predicted),
        "scope": frame("observation_id", *((one,) for one in scope)),
    }
    params = {"dataset": "d", "embedding_key": "k", "scheme_id": "whole", "model_version": "m/1"}
    return rows(answer(None, "pending/tiles_to_predict", frames=frames, **params))


def test_an_embedded_image_without_predictions_waits():
    assert pending() == [("i1",)]


def test_a_predicted_image_does_not_wait():
    assert pending(predicted=[("m/1", "whole", "i1")]) == []


@pytest.mark.parametrize("other", [("m/2", "whole", "i1"), ("m/1", "grid-2x2", "i1")])
def test_predictions_of_another_model_or_scheme_do_not_count(other):
    assert pending(predicted=[other]) == [("i1",)]


@pytest.mark.parametrize("embedded", [(), (("l", "whole", "i1"),), (("k", "grid-2x2", "i1"),)])
def test_an_image_that_is_not_embedded_so_cannot_be_predicted(embedded):
    assert pending(embedded=embedded) == []


def test_an_image_out_of_scope_does_not_wait():
    assert pending(scope=("o2",)) == []


def test_the_same_bytes_in_two_observations_wait_once():
    assert pending([("d", "o1", "i1"), ("d", "o2", "i1")], scope=("o1", "o2")) == [("i1",)]
