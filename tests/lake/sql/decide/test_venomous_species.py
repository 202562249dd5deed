from lake_rows import day, filled, rows

from lake.query import answer


def venomous(*known):
    """Return which of (species_id, is_venomous, day, source) are venomous."""
    said = [(species, is_venomous, day(number), source) for species, is_venomous, number, source in known]
    frames = {"species": filled("species", "species_id is_venomous recorded_at source", *said)}
    return sorted(species for (species,) in rows(answer(None, "decide/venomous_species", frames=frames)))


def test_only_what_is_known_to_be_venomous_is_named():
    assert venomous(("s1", True, 1, "a"), ("s2", False, 1, "a"), ("s3", None, 1, "a")) == ["s1"]


def test_the_latest_word_holds():
    assert venomous(("s1", True, 1, "a"), ("s1", False, 2, "a"), ("s2", False, 1, "a"), ("s2", True, 2, "a")) == ["s2"]


def test_who_says_nothing_takes_nothing_back():
    assert venomous(("s1", True, 1, "a"), ("s1", None, 2, "a")) == ["s1"]
