from lake_rows import frame, rows

from lake.query import answer


def test_two_species_may_bear_one_name():
    species = frame("species_id scientific_name", ("1", "Poa annua"), ("2", "Poa annua"))
    assert sorted(rows(answer(None, "labels/species_names", frames={"species": species}))) == rows(species)
