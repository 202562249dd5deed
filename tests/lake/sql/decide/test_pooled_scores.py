import math

import pytest
from lake_rows import frame, rows

from lake.decisions import Part, as_frame
from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank species_id probability"
ONE_PHOTOGRAPH = (("d", "o1", "i1"),)
TWO_PHOTOGRAPHS = (("d", "o1", "i1"), ("d", "o1", "i2"))
GRID = Part("grid-2x2", "grid-2x2")
WHOLE = Part("whole", "whole")


def predictions(*values):
    """Return predictions of (tile_index, rank, species_id, probability) for the one photograph."""
    return frame(COLUMNS, *(("m/1", "grid-2x2", "i1", *value) for value in values))


def of_photographs(*values):
    """Return predictions of (image_id, tile_index, rank, species_id, probability)."""
    return frame(COLUMNS, *(("m/1", "grid-2x2", *value) for value in values))


def scores(
    table,
    pooling="max",
    counted_ranks=9,
    voting_ranks=1,
    min_probability=0.0,
    parts=(GRID,),
    records=ONE_PHOTOGRAPH,
    scope=("o1",),
):
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": table,
        "scope": frame("observation_id", *((one,) for one in scope)),
        "parts": as_frame(parts),
    }
    asked = {
        **{"dataset": "d", "model_version": "m/1", "pooling": pooling},
        **{"counted_ranks": counted_ranks, "voting_ranks": voting_ranks, "min_probability": min_probability},
    }
    found = answer(None, "decide/pooled_scores", frames=frames, **asked)
    return found.sort_by([("observation_id", "ascending"), ("species_id", "ascending")])


def test_a_tile_votes_only_for_its_best_species():
    table = predictions((0, 1, "s1", 0.6), (0, 2, "s2", 0.4))
    assert rows(scores(table, "votes", counted_ranks=1), "observation_id species_id votes") == [("o1", "s1", 1)]
    assert rows(scores(table), "species_id votes") == [("s1", 1), ("s2", 0)]


def test_a_tile_votes_for_as_many_species_as_is_said():
    table = predictions((0, 1, "s1", 0.6), (0, 2, "s2", 0.4), (0, 3, "s3", 0.2))
    found = scores(table, "votes", counted_ranks=2, voting_ranks=2)
    assert rows(found, "species_id votes") == [("s1", 1), ("s2", 1)]


@pytest.mark.parametrize("pooling", ["votes", "max", "mean", "sum", "noisy_or", "mode"])
def test_only_the_best_ranks_of_a_tile_count(pooling):
    found = scores(predictions((0, 1, "s1", 0.5), (0, 2, "s2", 0.25)), pooling, counted_ranks=1)
    assert rows(found, "species_id score votes") == [("s1", 0.5, 1)]


@pytest.mark.parametrize("pooling", ["votes", "max"])
def test_the_score_is_that_of_the_surest_tile(pooling):
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.75), (2, 1, "s1", 0.25))
    assert rows(scores(table, pooling), "score votes") == [(0.75, 3)]


@pytest.mark.parametrize("pooling", ["mean", "mode"])
def test_tiles_are_averaged(pooling):
    found = scores(
        of_photographs(
            *(("i1", 0, 1, "s1", 0.75), ("i1", 0, 2, "s2", 0.25)),
            *(("i2", 0, 1, "s2", 1.0), ("i2", 0, 2, "s1", 0.0)),
        ),
        pooling,
        records=TWO_PHOTOGRAPHS,
    )
    assert rows(found, "species_id score votes") == [("s1", 0.375, 1), ("s2", 0.625, 1)]


def test_a_species_outside_the_best_k_of_a_tile_counts_as_impossible_there():
    found = scores(of_photographs(("i1", 0, 1, "s1", 0.5), ("i2", 0, 1, "s2", 0.75)), "mean", records=TWO_PHOTOGRAPHS)
    assert rows(found, "species_id score") == [("s1", 0.25), ("s2", 0.375)]


def test_a_sum_grows_with_every_tile():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.75), (1, 2, "s2", 0.25))
    assert rows(scores(table, "sum"), "species_id score") == [("s1", 1.25), ("s2", 0.25)]


def test_a_noisy_or_is_the_probability_that_one_tile_at_least_is_right():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.75), (1, 2, "s2", 0.25))
    found = dict(rows(scores(table, "noisy_or"), "species_id score"))
    assert found == {"s1": pytest.approx(1 - 0.5 * 0.25), "s2": pytest.approx(0.25)}


def test_a_certain_tile_makes_a_noisy_or_certain():
    ((score,),) = rows(scores(predictions((0, 1, "s1", 1.0), (1, 1, "s1", 0.5)), "noisy_or"), "score")
    assert score == pytest.approx(1)
    assert math.isfinite(score)


def test_an_unsure_tile_does_not_vote_but_its_score_counts():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.25))
    assert rows(scores(table, "sum", min_probability=0.4), "score votes") == [(0.75, 1)]


def test_a_probability_at_the_threshold_votes():
    # in single precision 0.1 is more than in double; in both it is the same 0.1
    for threshold in (0.1, 0.3, 0.7):
        assert rows(scores(predictions((0, 1, "s1", threshold)), min_probability=threshold), "votes") == [(1,)]


@pytest.mark.parametrize("pooling", ["mean", "sum", "noisy_or"])
def test_the_order_of_the_tiles_does_not_decide(pooling):
    # added one by one to the first, each of the small ones is lost; added to each other first, they are not
    tiles = [("i1", tile, 1, "s1", probability) for tile, probability in enumerate([0.75, *[1e-16] * 9])]
    first = rows(scores(of_photographs(*tiles), pooling), "score")
    assert first == rows(scores(of_photographs(*reversed(tiles)), pooling), "score")


def test_the_tiles_of_all_photographs_of_an_observation_count_together():
    table = of_photographs(("i1", 0, 1, "s1", 0.5), ("i2", 0, 1, "s1", 0.25))
    assert rows(scores(table, records=TWO_PHOTOGRAPHS), "score votes") == [(0.5, 2)]


def test_the_same_bytes_under_two_names_count_once():
    records = (("d", "o1", "i1"), ("d", "o1", "i1"), ("d", "o1", "i2"))
    table = of_photographs(("i1", 0, 1, "s1", 0.5), ("i2", 0, 1, "s2", 0.75))
    assert rows(scores(table, "mean", records=records), "species_id score votes") == [
        ("s1", 0.25, 1),
        ("s2", 0.375, 1),
    ]


def test_the_same_bytes_in_two_observations_count_in_both():
    table = predictions((0, 1, "s1", 0.5))
    found = scores(table, records=(("d", "o1", "i1"), ("d", "o2", "i1")), scope=("o1", "o2"))
    assert rows(found, "observation_id votes") == [("o1", 1), ("o2", 1)]


def test_observations_out_of_scope_or_of_another_data_set_are_not_answered():
    table = predictions((0, 1, "s1", 0.5))
    assert rows(scores(table, scope=("o2",))) == []
    assert rows(scores(table, records=(("e", "o1", "i1"),))) == []


@pytest.mark.parametrize("other", [("m/2", "grid-2x2"), ("m/1", "whole")])
def test_tiles_of_other_models_and_schemes_have_no_say(other):
    assert rows(scores(frame(COLUMNS, (*other, "i1", 0, 1, "s1", 0.5)))) == []


def test_tiles_of_several_tilings_count_together():
    table = frame(
        COLUMNS,
        *(("m/1", "whole", "i1", 0, 1, "s1", 0.75), ("m/1", "whole", "i1", 0, 2, "s2", 0.25)),
        *(("m/1", "grid-2x2", "i1", 0, 1, "s2", 1.0), ("m/1", "grid-2x2", "i1", 1, 1, "s2", 1.0)),
        ("m/1", "grid-3x3", "i1", 0, 1, "s3", 1.0),
    )
    expected = [("s1", 0.25, 1), ("s2", 0.75, 2)]
    assert rows(scores(table, "mean", parts=(GRID, WHOLE)), "species_id score votes") == expected
    assert rows(scores(table, "mean", parts=(WHOLE, GRID)), "species_id score votes") == expected


def test_a_tiling_whose_name_begins_like_another_has_no_say():
    table = predictions((0, 1, "s1", 0.5))
    assert rows(scores(table, parts=(Part("grid-2x20", "grid-2x20"), WHOLE))) == []


def test_of_a_level_only_its_tiles_count():
    table = predictions(*((tile, 1, "s1", 0.125 * tile) for tile in range(6)))
    level = Part("the middle", "grid-2x2", 2, 4)
    assert rows(scores(table, parts=[level]), "score votes") == [(0.5, 3)]
    assert rows(scores(table, "mean", parts=[level]), "score") == [(0.375,)]
    assert rows(scores(table, parts=[level, Part("the last", "grid-2x2", 5, 5)]), "votes") == [(4,)]
