from lake_rows import frame, rows

from lake.query import answer


def test_what_is_predicted_or_true_is_numbered_in_the_order_of_its_ids_and_knows_its_name_of_today():
    frames = {
        "tile_predictions": frame("model_version species_id", ("m/1", "s3"), ("m/1", "s10"), ("m/2", "s5")),
        "truth": frame("observation_id species_id", ("o1", "s3"), ("o2", "s2")),
        "accepted_species": frame("species_id accepted_id", ("s3", "s4"), ("s2", "s2")),
    }
    found = rows(answer(None, "sweep/species_numbers", frames=frames, model_version="m/1"))
    assert found == [("s10", 0, 0), ("s2", 1, 1), ("s3", 2, 3), ("s4", 3, 3)]
