import pytest
from lake_rows import frame, rows

from lake.query import answer


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ((), (0, 0)),
        ((("o1", "s1"), ("o2", "s1")), (2, 0)),
        ((("o1", "s1"), ("o2", "s1"), ("o2", "s2")), (1, 1)),
    ],
)
def test_observations_with_one_species_and_with_several_are_counted(labels, counts):
    frames = {"current_labels": frame("observation_id species_id", *labels)}
    assert rows(answer(None, "labels/species_per_observation", frames=frames)) == [counts]
