import random

import pytest
from lake_rows import frame, rows

from lake.query import answer

TILES = "model_version scheme_id image_id tile_index rank species_id probability"
RECORDS = (("d", "o1", "i1"), ("d", "o2", "i2"), ("d", "o3", "i3"))
PLACES = (("o1", "0"), ("o2", "0"), ("o3", "1"))


def weights(*tiles, records=RECORDS, places=PLACES, scheme_id="whole"):
    """Learn from (scheme_id, image_id, tile_index, rank, species_id, probability) of one model."""
    frames = {
        "image_records": frame("dataset observation_id image_id", *records),
        "tile_predictions": frame(TILES, *(("m/1", *tile) for tile in tiles)),
        "observation_places": frame("observation_id place", *places),
    }
    return answer(
        None, "priors/weights_by_cluster", frames=frames, dataset="d", model_version="m/1", scheme_id=scheme_id
    )


def test_a_cluster_is_the_mean_of_its_observations_and_not_of_its_tiles():
    # o1 has two tiles, and says 0.5 of s1 and 0.25 of s2; o2 has one, and says 0.75 of s2: 0.5 to 1 in all.
    found = weights(
        *(("whole", "i1", 0, 1, "s1", 0.5), ("whole", "i1", 1, 1, "s1", 0.5), ("whole", "i1", 1, 2, "s2", 0.5)),
        *(("whole", "i2", 0, 1, "s2", 0.75), ("whole", "i3", 0, 1, "s3", 0.25)),
    )
    assert rows(found) == [("0", "s1", 0.5 / 1.5), ("0", "s2", 1.0 / 1.5), ("1", "s3", 1.0)]


def test_the_species_of_a_cluster_sum_to_one():
    found = weights(*(("whole", f"i{n % 3 + 1}", n, 1, f"s{n % 4}", 0.1 + n / 50) for n in range(24)))
    for cluster in ("0", "1"):
        of_it = [weight for place, _, weight in rows(found) if place == cluster]
        assert sum(of_it) == pytest.approx(1)


@pytest.mark.parametrize("count", [2, 60])
def test_the_order_of_the_tiles_changes_no_digit(count):
    drawn = random.Random(0)
    seen = {
        "records": [("d", f"o{n}", f"i{n}") for n in range(count)],
        "places": [(f"o{n}", str(n % 2)) for n in range(count)],
    }
    tiles = [("whole", f"i{n % count}", n, 1, f"s{n % 7}", 10 ** -drawn.uniform(0, 12)) for n in range(1200)]
    first = rows(weights(*tiles, **seen))
    for _ in range(3):
        drawn.shuffle(tiles)
        assert rows(weights(*tiles, **seen)) == first


def test_an_observation_of_no_cluster_other_models_tilings_and_data_sets_have_no_say():
    tiles = [("whole", "i1", 0, 1, "s1", 0.5), ("whole", "i2", 0, 1, "s2", 0.5), ("grid-1x2", "i1", 0, 1, "s3", 0.5)]
    assert rows(weights(*tiles, places=PLACES[:1])) == [("0", "s1", 1.0)]
    assert rows(weights(*tiles, records=(("d", "o1", "i1"), ("other", "o2", "i2")))) == [("0", "s1", 1.0)]
    frames = {
        "image_records": frame("dataset observation_id image_id", *RECORDS),
        "tile_predictions": frame(TILES, ("m/2", "whole", "i1", 0, 1, "s1", 0.5)),
        "observation_places": frame("observation_id place", *PLACES),
    }
    asked = {"dataset": "d", "model_version": "m/1", "scheme_id": "whole"}
    assert rows(answer(None, "priors/weights_by_cluster", frames=frames, **asked)) == []


def test_several_tilings_count_together():
    tiles = [("whole", "i1", 0, 1, "s1", 0.5), ("grid-1x2", "i1", 0, 1, "s3", 0.5), ("grid-3x3", "i1", 0, 1, "s4", 1.0)]
    found = weights(*tiles, places=PLACES[:1], scheme_id="grid-1x2+whole")
    assert rows(found) == [("0", "s1", 0.5), ("0", "s3", 0.5)]
