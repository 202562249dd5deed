import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer


def test_venomous_species_go_by_their_numbers_and_unknown_ones_are_left_out():
    frames = {
        "venomous_species": frame("species_id", ("s2",), ("s9",)),
        "species_numbers": pa.table({"species_id": ["s1", "s2"], "number": [0, 1]}),
    }
    assert rows(answer(None, "sweep/numbered_venomous_species", frames=frames)) == [(1,)]
