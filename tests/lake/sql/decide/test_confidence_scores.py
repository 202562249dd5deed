import math

import pytest
from lake_rows import frame, rows

from lake.decisions import Part, as_frame
from lake.query import answer

COLUMNS = "model_version scheme_id image_id tile_index rank species_id probability"
GRID = Part("grid", "grid")


def scores(*predictions, counted_ranks=9, min_probability=0.0, parts=(GRID,), others=()):
    """Score (tile_index, species_id, probability), each tile's best first, of the one photograph."""
    ranks = {}
    numbered = []
    for tile, species, probability in predictions:
        ranks[tile] = ranks.get(tile, 0) + 1
        numbered.append(("m/1", "grid", "i1", tile, ranks[tile], species, probability))
    frames = {
        "image_records": frame("dataset observation_id image_id", ("d", "o1", "i1"), ("d", "o2", "i2")),
        "tile_predictions": frame(COLUMNS, *numbered, *others),
        "scope": frame("observation_id", ("o1",)),
        "parts": as_frame(parts),
    }
    asked = {
        **{"dataset": "d", "model_version": "m/1", "counted_ranks": counted_ranks},
        **{"voting_ranks": 1, "min_probability": min_probability},
    }
    found = rows(answer(None, "decide/confidence_scores", frames=frames, **asked), "species_id score votes")
    return {species: (score, votes) for species, score, votes in found}


def variance(*values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def test_a_tile_counts_by_the_logarithm_of_the_variance_of_its_best_thousand():
    found = scores((0, "s1", 0.5), (0, "s2", 0.25), (1, "s2", 0.125), (1, "s3", 0.0625))
    # those that are not stored count as impossible
    tiles = ([0.5, 0.25], [0.125, 0.0625])
    doubts = [abs(math.log10(variance(*tile, *[0.0] * 998))) for tile in tiles]
    assert doubts[0] < doubts[1], "the surer tile counts more"
    most = max(doubts) + 0.5
    first, second = (math.sqrt((most - doubt) / most) for doubt in doubts)
    strengths = {"s1": first * 0.5, "s2": first * 0.25 + second * 0.125, "s3": second * 0.0625}
    strengths = {species: total / (first + second) for species, total in strengths.items()}
    mean, deviation = sum(strengths.values()) / 3, math.sqrt(variance(*strengths.values()))
    expected = {species: (strength - mean) / deviation for species, strength in strengths.items()}
    assert {species: score for species, (score, _) in found.items()} == pytest.approx(expected)
    assert {species: votes for species, (_, votes) in found.items()} == {"s1": 1, "s2": 1, "s3": 0}


def test_scores_are_z_scores_of_each_observation():
    found = [score for score, _ in scores((0, "s1", 0.5), (0, "s2", 0.25), (1, "s3", 0.25), (1, "s4", 0.125)).values()]
    assert sum(found) == pytest.approx(0)
    assert variance(*found) == pytest.approx(1)


def test_of_a_single_species_or_of_equals_none_stands_out():
    assert scores((0, "s1", 0.5)) == {"s1": (0, 1)}
    assert scores((0, "s1", 0.5), (0, "s2", 0.5)) == {"s1": (0, 1), "s2": (0, 0)}


def test_the_best_hundred_species_are_scored():
    tile = [(0, f"s{number:03}", 0.5 - number / 512) for number in range(120)]
    found = scores(*tile, counted_ranks=120)
    assert sorted(found) == [f"s{number:03}" for number in range(100)]


def test_only_the_best_ranks_of_a_tile_count():
    assert sorted(scores((0, "s1", 0.5), (0, "s2", 0.25), (0, "s3", 0.125), counted_ranks=2)) == ["s1", "s2"]


def test_an_unsure_tile_does_not_vote():
    assert scores((0, "s1", 0.5), (1, "s1", 0.25), min_probability=0.4)["s1"] == (0, 1)


def test_other_models_tilings_tiles_and_observations_have_no_say():
    tiles = [(0, "s1", 0.5), (0, "s2", 0.25), (1, "s3", 0.5), (1, "s1", 0.125)]
    others = [("m/2", "grid", "i1", 0, 1, "s9", 0.5), ("m/1", "whole", "i1", 0, 1, "s9", 0.5)]
    others.append(("m/1", "grid", "i2", 0, 1, "s9", 0.5))
    assert scores(*tiles, others=others) == scores(*tiles)
    assert sorted(scores(*tiles, parts=[Part("first", "grid", 0, 0)])) == ["s1", "s2"]
