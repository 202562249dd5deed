import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lake.query import answer

NAMES = ("dataset", "split", "metric", "official_metric")


def correlations(*pairs, of=("d", "val", "f1", "public")):
    scored = [
        dict(zip((*NAMES, "proxy_value", "official_value"), (*of, *pair), strict=True), decision_id=f"x{number}")
        for number, pair in enumerate(pairs)
    ]
    found = answer(None, "submissions/rank_correlations", frames={"score_pairs": pa.Table.from_pylist(scored)})
    return [(row["decision_count"], row["spearman"]) for row in found.to_pylist()]


few_values = st.integers(0, 4).map(lambda number: number / 7)


# scipy says so where there is no order
@pytest.mark.filterwarnings("ignore:An input array is constant")
@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(few_values, few_values), min_size=2, max_size=12))
def test_the_correlation_is_that_of_scipy_with_ties_as_well(pairs):
    ((count, found),) = correlations(*pairs)
    expected = spearmanr(*zip(*pairs, strict=True)).statistic
    assert count == len(pairs)
    assert (found is None) == math.isnan(expected)
    assert found is None or found == pytest.approx(expected, abs=1e-12)


def test_the_same_order_is_one_and_the_opposite_order_minus_one_exactly():
    values = [0.1, 0.7, 0.30001, 0.9, 0.5, 0.6, 0.2]
    assert correlations(*((value, value**3) for value in values)) == [(7, 1.0)]
    assert correlations(*((value, -value) for value in values)) == [(7, -1.0)]


def test_no_order_is_null_and_never_a_number():
    assert correlations((0.5, 0.1), (0.5, 0.2)) == [(2, None)]
    assert correlations((0.5, 0.1)) == [(1, None)]


def test_an_order_that_says_nothing_is_exactly_zero():
    assert correlations((1.0, 1.0), (2.0, 3.0), (3.0, 1.0)) == [(3, 0.0)]
