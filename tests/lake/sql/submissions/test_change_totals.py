import pyarrow as pa
import pytest

from lake.query import answer


def totals(*changes):
    columns = ["first_count", "second_count", "jaccard"]
    frame = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in changes])
    (found,) = answer(None, "submissions/change_totals", frames={"observation_changes": frame}).to_pylist()
    return found


def test_every_observation_weighs_alike():
    found = totals((1, 1, 1.0), (9, 9, 0.5))
    assert (found["observations"], found["in_both"], found["changed"], found["mean_jaccard"]) == (2, 2, 1, 0.75)


def test_the_mean_of_species_is_over_the_observations_that_are_answered():
    found = totals((3, 1, 0.5), (1, 0, 0.0), (0, 4, 0.0))
    assert (found["first_mean_species"], found["second_mean_species"]) == (2.0, 2.5)
    assert (found["only_first"], found["only_second"], found["in_both"]) == (1, 1, 1)
    assert found["mean_jaccard"] == pytest.approx(1 / 6)
