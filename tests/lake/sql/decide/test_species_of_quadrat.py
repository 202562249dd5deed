import pytest
from lake_rows import frame, rows

from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank species_id probability"
PARAMS = {"dataset": "d", "model_version": "m/1", "scheme_id": "grid-2x2"}


def predictions(*values):
    """Return predictions of (tile_index, rank, species_id, probability) for the one photograph."""
    return frame(COLUMNS, *(("m/1", "grid-2x2", "i1", *value) for value in values))


def species(
    table, min_votes=1, min_probability=0.0, allow_empty=False, records=(("d", "q1", "i1"),), scope=("q1",), **asked
):
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": table,
        "scope": frame("observation_id", *((one,) for one in scope)),
    }
    params = {"min_votes": min_votes, "min_probability": min_probability, "allow_empty": allow_empty, **PARAMS, **asked}
    return answer(None, "decide/species_of_quadrat", frames=frames, **params)


def test_a_tile_votes_only_for_its_best_species():
    table = predictions((0, 1, "s1", 0.6), (0, 2, "s2", 0.4))
    assert rows(species(table), "observation_id species_id votes") == [("q1", "s1", 1)]


def test_a_species_needs_its_votes():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.5), (2, 1, "s2", 0.9))
    assert rows(species(table, min_votes=2), "species_id votes") == [("s1", 2)]


def test_the_best_species_stands_where_none_has_the_votes():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s2", 0.75))
    assert rows(species(table, min_votes=2), "species_id score votes") == [("s2", 0.75, 1)]


def test_an_answer_may_be_empty_where_that_is_allowed():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s2", 0.75))
    assert rows(species(table, min_votes=2, allow_empty=True)) == []


def test_an_unsure_tile_does_not_vote():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.25))
    assert rows(species(table, min_probability=0.4), "votes") == [(1,)]


def test_a_probability_at_the_threshold_votes():
    # in single precision 0.1 is more than in double; in both it is the same 0.1
    for threshold in (0.1, 0.3, 0.7):
        assert rows(species(predictions((0, 1, "s1", threshold)), min_probability=threshold), "votes") == [(1,)]


def test_the_score_is_that_of_the_surest_tile():
    table = predictions((0, 1, "s1", 0.5), (1, 1, "s1", 0.75), (2, 1, "s1", 0.25))
    assert rows(species(table), "score") == [(0.75,)]


def test_species_rank_by_votes_then_score_then_id():
    table = predictions(
        *((0, 1, "s3", 0.5), (1, 1, "s3", 0.5)), (2, 1, "s4", 0.75), (3, 1, "s2", 0.25), (4, 1, "s1", 0.25)
    )
    found = rows(species(table), "species_id rank is_answer")
    assert found == [("s3", 1, True), ("s4", 2, True), ("s1", 3, True), ("s2", 4, True)]


def test_the_tiles_of_all_photographs_of_a_quadrat_vote_together():
    table = frame(COLUMNS, ("m/1", "grid-2x2", "i1", 0, 1, "s1", 0.5), ("m/1", "grid-2x2", "i2", 0, 1, "s1", 0.5))
    found = species(table, min_votes=2, allow_empty=True, records=(("d", "q1", "i1"), ("d", "q1", "i2")))
    assert rows(found, "votes") == [(2,)]


def test_the_same_bytes_under_two_names_vote_once():
    table = predictions((0, 1, "s1", 0.5))
    assert rows(species(table, records=(("d", "q1", "i1"), ("d", "q1", "i1"))), "votes") == [(1,)]


def test_quadrats_out_of_scope_or_of_another_data_set_are_not_answered():
    table = predictions((0, 1, "s1", 0.5))
    assert rows(species(table, scope=("q2",))) == []
    assert rows(species(table, records=(("e", "q1", "i1"),))) == []


@pytest.mark.parametrize("other", [("m/2", "grid-2x2"), ("m/1", "whole")])
def test_tiles_of_other_models_and_schemes_do_not_vote(other):
    assert rows(species(frame(COLUMNS, (*other, "i1", 0, 1, "s1", 0.5)))) == []


def test_tiles_of_several_tilings_vote_together():
    table = frame(COLUMNS, *(("m/1", scheme, "i1", 0, 1, "s1", 0.5) for scheme in ("grid-2x2", "whole", "grid-3x3")))
    assert rows(species(table, scheme_id="grid-2x2+whole"), "species_id votes") == [("s1", 2)]
    assert rows(species(table, scheme_id="whole+grid-2x2"), "species_id votes") == [("s1", 2)]


def test_a_tiling_whose_name_begins_like_another_does_not_vote():
    table = frame(COLUMNS, ("m/1", "grid-2x2", "i1", 0, 1, "s1", 0.5))
    assert rows(species(table, scheme_id="grid-2x20+whole")) == []
