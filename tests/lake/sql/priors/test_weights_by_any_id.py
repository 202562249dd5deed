from lake_rows import frame, rows

from lake.query import answer


def weights(*changes):
    """Add the ids of former times to the weights, by pairs of a species and what became of it."""
    frames = {
        "weights": frame("place species_id weight", ("FR", "s1", 0.25), ("NO", "s1", 0.5), ("NO", "s2", 0.125)),
        "accepted_species": frame("species_id accepted_id", *changes),
    }
    return rows(answer(None, "priors/weights_by_any_id", frames=frames))


def test_a_former_id_weighs_in_each_place_what_its_accepted_species_does():
    today = [("FR", "s1", 0.25), ("NO", "s1", 0.5), ("NO", "s2", 0.125)]
    assert weights() == today
    assert weights(("a", "s1"), ("b", "s1"), ("c", "s2")) == [
        *(("FR", "a", 0.25), ("FR", "b", 0.25), ("FR", "s1", 0.25)),
        *(("NO", "a", 0.5), ("NO", "b", 0.5), ("NO", "c", 0.125), ("NO", "s1", 0.5), ("NO", "s2", 0.125)),
    ]


def test_what_was_split_or_became_a_species_without_a_weight_has_none():
    assert [species for _, species, _ in weights(("a", None), ("b", "s9"))] == ["s1", "s1", "s2"]
