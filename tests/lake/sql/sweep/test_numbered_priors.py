import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer

NUMBERS = pa.table({"species_id": ["s1", "s2"], "number": [0, 1]})


def numbered(*weights):
    frames = {"priors": frame("prior_id place species_id weight", *weights), "species_numbers": NUMBERS}
    return rows(answer(None, "sweep/numbered_priors", frames=frames))


def test_species_go_by_their_numbers():
    found = numbered(("p", "NO", "s2", 0.5), ("q", "all", "s1", 1.0))
    assert sorted(found) == [("p", "NO", 1, 0.5), ("q", "all", 0, 1.0)]


def test_a_species_that_no_answer_names_still_says_how_likely_the_likeliest_is():
    found = numbered(("p", "NO", "s9", 0.75), ("p", "NO", "s8", 0.5))
    assert sorted(weight for _, _, _, weight in found) == [0.5, 0.75]
    # by numbers of their own, which no score has
    assert len({number for _, _, number, _ in found if number < 0}) == 2
