import pyarrow as pa
import pytest

from lake.query import answer


def changes(observations, **jaccard):
    frames = {
        "scope": pa.table({"observation_id": pa.array(observations, pa.string())}),
        "observation_changes": pa.table(
            {"observation_id": pa.array(jaccard, pa.string()), "jaccard": pa.array(jaccard.values(), pa.float64())}
        ),
    }
    (found,) = answer(None, "retrain/answer_changes", frames=frames).to_pylist()
    return found


def test_an_observation_that_neither_answers_is_answered_alike():
    found = changes(["o1", "o2", "o3", "o4"], o1=1.0, o2=0.5, o3=0.0)
    assert (found["observations"], found["changed"]) == (4, 2)
    assert found["mean_jaccard"] == pytest.approx(2.5 / 4)


def test_without_observations_nothing_differs():
    assert changes([]) == {"observations": 0, "changed": 0, "mean_jaccard": None}
