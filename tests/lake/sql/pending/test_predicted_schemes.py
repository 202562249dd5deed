from lake_rows import frame, rows

from lake.query import answer


def schemes(*predictions):
    frames = {
        "image_records": frame("dataset image_id", ("d", "i1"), ("d", "i2"), ("e", "i3")),
        "tile_predictions": frame("model_version scheme_id image_id", *predictions),
    }
    found = answer(None, "pending/predicted_schemes", frames=frames, dataset="d", model_version="m/1")
    return [scheme for (scheme,) in rows(found)]


def test_each_tiling_is_named_once():
    assert schemes(("m/1", "whole", "i1"), ("m/1", "grid-2x2", "i1"), ("m/1", "whole", "i2")) == ["grid-2x2", "whole"]


def test_other_models_and_data_sets_are_not_seen():
    assert schemes(("m/2", "whole", "i1"), ("m/1", "whole", "i3")) == []
