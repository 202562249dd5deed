import pytest
from lake_rows import frame, rows

from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank species_id probability"
ONE_PHOTOGRAPH = (("d", "o1", "i1"),)
TWO_PHOTOGRAPHS = (("d", "o1", "i1"), ("d", "o1", "i2"))


def species(*predictions, records=ONE_PHOTOGRAPH, scope=("o1",), candidates=5):
    """Answer predictions of (image_id, tile_index, rank, species_id, probability)."""
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": frame(COLUMNS, *(("m/1", "whole", *prediction) for prediction in predictions)),
        "scope": frame("observation_id", *((one,) for one in scope)),
    }
    params = {"dataset": "d", "model_version": "m/1", "scheme_id": "whole", "candidates": candidates}
    return answer(None, "decide/species_of_observation", frames=frames, **params)


def test_photographs_are_averaged():
    found = species(
        *(("i1", 0, 1, "s1", 0.75), ("i1", 0, 2, "s2", 0.25)),
        *(("i2", 0, 1, "s2", 1.0), ("i2", 0, 2, "s1", 0.0)),
        records=TWO_PHOTOGRAPHS,
    )
    assert rows(found, "species_id score votes rank is_answer") == [
        ("s2", 0.625, 1, 1, True),
        ("s1", 0.375, 1, 2, False),
    ]


def test_a_species_outside_the_best_k_of_a_photograph_counts_as_impossible_there():
    found = species(("i1", 0, 1, "s1", 0.5), ("i2", 0, 1, "s2", 0.75), records=TWO_PHOTOGRAPHS)
    assert rows(found, "species_id score") == [("s2", 0.375), ("s1", 0.25)]


def test_a_tie_goes_to_the_species_with_more_votes_and_then_to_the_lower_id():
    found = species(
        *(("i1", 0, 1, "s3", 0.5), ("i1", 0, 2, "s2", 0.5), ("i1", 0, 3, "s1", 0.5)),
        *(("i1", 1, 1, "s3", 0.5), ("i1", 1, 2, "s2", 0.5), ("i1", 1, 3, "s1", 0.5)),
    )
    assert rows(found, "species_id") == [("s3",), ("s1",), ("s2",)]


def test_the_order_of_the_tiles_does_not_decide():
    # added one by one to 1, each of the small ones is lost; added to each other first, they are not
    tiles = [("i1", tile, 1, "s1", probability) for tile, probability in enumerate([1.0, *[1e-16] * 9])]
    assert rows(species(*tiles), "score") == rows(species(*reversed(tiles)), "score")


def test_only_the_best_candidates_are_kept():
    found = species(("i1", 0, 1, "s1", 0.5), ("i1", 0, 2, "s2", 0.3), ("i1", 0, 3, "s3", 0.2), candidates=2)
    assert rows(found, "species_id") == [("s1",), ("s2",)]


def test_the_same_bytes_under_two_names_count_once():
    found = species(
        *(("i1", 0, 1, "s1", 0.5), ("i2", 0, 1, "s2", 0.75)),
        records=(("d", "o1", "i1"), ("d", "o1", "i1"), ("d", "o1", "i2")),
    )
    assert rows(found, "species_id votes") == [("s2", 1), ("s1", 1)]


def test_an_observation_out_of_scope_is_not_answered():
    assert rows(species(("i1", 0, 1, "s1", 0.5), scope=("o2",))) == []


@pytest.mark.parametrize("other", [("m/2", "whole"), ("m/1", "grid-2x2")])
def test_other_models_and_schemes_have_no_say(other):
    frames = {
        "image_records": frame("dataset observation_id image_id", *ONE_PHOTOGRAPH),
        "tile_predictions": frame(COLUMNS, (*other, "i1", 0, 1, "s1", 0.5)),
        "scope": frame("observation_id", ("o1",)),
    }
    params = {"dataset": "d", "model_version": "m/1", "scheme_id": "whole", "candidates": 5}
    assert rows(answer(None, "decide/species_of_observation", frames=frames, **params)) == []


def test_tiles_of_several_tilings_are_averaged_together():
    tiles = [
        *(("whole", 0, 1, "s1", 0.75), ("whole", 0, 2, "s2", 0.25)),
        *(("grid-1x2", 0, 1, "s2", 1.0), ("grid-1x2", 1, 1, "s2", 1.0), ("grid-3x3", 0, 1, "s3", 1.0)),
    ]
    frames = {
        "image_records": frame("dataset observation_id image_id", *ONE_PHOTOGRAPH),
        "tile_predictions": frame(COLUMNS, *(("m/1", tile[0], "i1", *tile[1:]) for tile in tiles)),
        "scope": frame("observation_id", ("o1",)),
    }
    params = {"dataset": "d", "model_version": "m/1", "scheme_id": "grid-1x2+whole", "candidates": 5}
    found = answer(None, "decide/species_of_observation", frames=frames, **params)
    assert rows(found, "species_id score votes") == [("s2", 0.75, 2), ("s1", 0.25, 1)]
