import pytest
from lake_rows import frame, rows

from lake.query import answer

GENERA = (("s1", "Poa"), ("s2", "Poa"), ("s3", "Carex"))


def weights(*species, taxa=GENERA):
    """Learn from the species of observations."""
    frames = {
        "train_observations": frame("observation_id species_id", *((f"o{n}", one) for n, one in enumerate(species))),
        "known_taxa": frame("species_id taxon", *taxa),
    }
    return rows(answer(None, "priors/weights_by_taxon", frames=frames))


def test_a_species_weighs_what_all_of_its_genus_is_seen():
    # Poa 3 and Carex 1, and one more of each: 4 / 6 and 2 / 6, also for s2, which nobody has seen
    assert weights("s1", "s1", "s1", "s3") == [("s1", 4 / 6), ("s2", 4 / 6), ("s3", 2 / 6)]
    assert weights("s1", "s2", "s1", "s3") == [("s1", 4 / 6), ("s2", 4 / 6), ("s3", 2 / 6)]


def test_a_genus_that_nobody_has_seen_is_not_impossible():
    assert weights("s1") == [("s1", 2 / 3), ("s2", 2 / 3), ("s3", 1 / 3)]


def test_a_species_of_no_known_genus_is_a_genus_of_its_own():
    taxa = [*GENERA, ("s4", None), ("s5", None)]
    assert weights("s1", "s4", "s4", taxa=taxa) == [
        *(("s1", 2 / 7), ("s2", 2 / 7), ("s3", 1 / 7)),
        *(("s4", 3 / 7), ("s5", 1 / 7)),
    ]


def test_an_id_that_reads_like_a_genus_is_not_of_it():
    assert weights("Poa", "Poa", taxa=[("s1", "Poa"), ("Poa", None)]) == [("Poa", 3 / 4), ("s1", 1 / 4)]


def test_the_genera_sum_to_one():
    found = dict(weights("s1", "s2", "s3", "s4", "s4", taxa=[*GENERA, ("s4", None)]))
    assert found["s1"] + found["s3"] + found["s4"] == pytest.approx(1)
