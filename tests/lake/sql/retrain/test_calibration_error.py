import numpy as np
import pyarrow as pa
import pytest
import torch
from lake_rows import frame
from torchmetrics.functional.classification import binary_calibration_error

from lake.query import answer


def error(truth, answers):
    frames = {
        "truth": frame("observation_id species_id", *truth),
        "answers": pa.table(
            {
                "observation_id": pa.array([row[0] for row in answers], pa.string()),
                "species_id": pa.array([row[1] for row in answers], pa.string()),
                "score": pa.array([row[2] for row in answers], pa.float64()),
                "rank": pa.array([row[3] for row in answers], pa.int32()),
            }
        ),
    }
    return answer(None, "retrain/calibration_error", frames=frames)["calibration_error"][0].as_py()


def test_the_error_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.001, 0.999, 300)
    is_right = rng.uniform(size=300) < probabilities**2
    truth = [(f"o{one}", "a") for one in range(300)]
    answers = [(f"o{one}", "a" if is_right[one] else "b", probabilities[one], 1) for one in range(300)]
    expected = binary_calibration_error(torch.tensor(probabilities), torch.tensor(is_right.astype(int)), n_bins=15)
    assert error(truth, answers) == pytest.approx(float(expected), abs=1e-6)


def test_runners_up_and_observations_without_an_answer_do_not_count():
    truth = [("o1", "a"), ("o2", "a")]
    assert error(truth, [("o1", "a", 1.0, 1), ("o1", "b", 0.9, 2)]) == 0.0
    assert error(truth, []) is None
