from lake_rows import filled, frame
from review_rows import found


def best(*tiles, is_one=True, changed=()):
    """Return the best species by scheme of tiles (image_id, scheme_id, tile_index, rank, species_id, probability)."""
    names = "model_version image_id scheme_id tile_index rank species_id probability"
    given = [("m/1", *tile) for tile in tiles]
    records = [("d", "a", "i1", "o1"), ("d", "b", "i2", "o1"), ("d", "c", "i3", "o2"), ("e", "d", "i9", "o1")]
    frames = {
        "tile_predictions": filled("tile_predictions", names, *given, ("m/2", "i1", "whole", 0, 1, "s9", 1.0)),
        "image_records": filled("image_records", "dataset image_name image_id observation_id", *records),
        "scope": frame("observation_id", ("o1",)),
        "accepted_species": frame("species_id accepted_id", *changed),
    }
    return found("scheme_answers", frames, dataset="d", model_version="m/1", is_one=is_one)


def test_each_scheme_answers_by_its_own_tiles():
    found = best(("i1", "whole", 0, 1, "s1", 0.5), ("i1", "grid-1x2", 0, 1, "s2", 0.75))
    assert found == [("o1", "grid-1x2", "s2", 0.75), ("o1", "whole", "s1", 0.5)]


def test_of_one_organism_the_mean_over_all_its_tiles_counts_and_of_a_quadrat_the_best_tile():
    tiles = [
        *(("i1", "whole", 0, 1, "s1", 0.75), ("i1", "whole", 0, 2, "s2", 0.5)),
        *(("i2", "whole", 0, 1, "s2", 0.5), ("i2", "whole", 0, 2, "s1", 0.125)),
    ]
    assert best(*tiles) == [("o1", "whole", "s2", 0.5)]
    assert best(*tiles, is_one=False) == [("o1", "whole", "s1", 0.75)]


def test_a_species_that_a_tile_does_not_name_counts_as_impossible_there():
    tiles = [("i1", "whole", 0, 1, "s1", 0.75), ("i2", "whole", 0, 1, "s2", 0.5)]
    assert best(*tiles) == [("o1", "whole", "s1", 0.375)]


def test_a_tie_goes_to_the_lower_id():
    assert best(("i1", "whole", 0, 2, "s2", 0.5), ("i1", "whole", 0, 1, "s1", 0.5)) == [("o1", "whole", "s1", 0.5)]


def test_photographs_of_other_observations_and_data_sets_do_not_speak():
    assert best(("i3", "whole", 0, 1, "s1", 0.5), ("i9", "whole", 0, 1, "s1", 0.5)) == []


def test_species_go_by_the_taxonomy_of_today():
    assert best(("i1", "whole", 0, 1, "old", 0.5), changed=[("old", "s1")]) == [("o1", "whole", "s1", 0.5)]
