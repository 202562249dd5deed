from lake_rows import frame, rows

from lake.query import answer


def test_species_are_known_by_id():
    frames = {"species": frame("species_id scientific_name", ("007", "Poa annua"), ("7", "Poa annua"))}
    assert sorted(rows(answer(None, "pending/known_species", frames=frames))) == [("007",), ("7",)]
