import pyarrow as pa
import pytest
from lake_rows import frame, rows

from lake.query import answer


def metric(scores, *facts, unit="transect"):
    """Average F1 of observation -> F1, which stand on (transect, base quadrat, site)."""
    frames = {
        "observation_f1": pa.table({"observation_id": list(scores), "f1": pa.array(scores.values(), pa.float64())}),
        "facts": frame("observation_id transect base_quadrat site", *facts),
    }
    ((name, value),) = rows(answer(None, "evaluate/transect_metrics", frames=frames, unit=unit))
    assert name == "macro_f1_per_transect"
    return value


SCORES = {"q1": 1.0, "q2": 0.0, "q3": 0.0, "q4": 1.0}
FACTS = [("q1", "t1", "b1", "t1"), ("q2", "t1", "b1", "t1"), ("q3", "t1", "b3", "t1"), ("q4", "t2", "b4", "t2")]


def test_a_transect_of_one_quadrat_weighs_as_much_as_one_of_three():
    assert metric(SCORES, *FACTS) == pytest.approx((1 / 3 + 1) / 2)


def test_the_ground_or_the_site_can_stand_for_the_transect():
    assert metric(SCORES, *FACTS, unit="base_quadrat") == pytest.approx((0.5 + 0 + 1) / 3)
    assert metric(SCORES, *FACTS, unit="site") == metric(SCORES, *FACTS)


def test_an_observation_without_a_transect_is_one_by_itself():
    nowhere = [("q2", None, "b1", None), ("q3", None, None, None)]
    assert metric(SCORES, FACTS[0], *nowhere, FACTS[3]) == pytest.approx((1 + 0 + 0 + 1) / 4)
    # who has no facts at all stands on none either
    assert metric(SCORES, FACTS[0], FACTS[3]) == pytest.approx((1 + 0 + 0 + 1) / 4)
