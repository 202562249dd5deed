import pytest
from lake_rows import frame, rows

from lake.query import answer


@pytest.mark.parametrize(
    ("labels", "most"),
    [
        ((), 0),
        ((("o1", "s1"), ("o2", "s1")), 1),
        ((("o1", "s1"), ("o2", "s1"), ("o2", "s2")), 2),
    ],
)
def test_the_fullest_observation_is_counted(labels, most):
    frames = {"current_labels": frame("observation_id species_id", *labels)}
    assert rows(answer(None, "labels/species_per_observation", frames=frames)) == [(most,)]
