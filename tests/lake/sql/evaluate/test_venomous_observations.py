from lake_rows import frame, rows

from lake.query import answer


def test_only_observations_of_species_known_to_be_venomous_are_kept():
    train = [("o3", "s1", "DK"), ("o1", "s1", None), ("o2", "s2", "DK"), ("o4", "s3", "DK"), ("o5", "s4", "DK")]
    frames = {
        "train_observations": frame("observation_id species_id country_code", *train),
        # nobody knows of s3, and nobody has heard of s4
        "current_species": frame("species_id is_venomous", ("s1", True), ("s2", False), ("s3", None)),
    }
    found = answer(None, "evaluate/venomous_observations", frames=frames)
    assert rows(found) == [("o1", "s1", None), ("o3", "s1", "DK")]
