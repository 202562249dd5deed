from lake_rows import frame, rows

from lake.query import answer


def test_observations_are_numbered_in_the_order_of_their_ids():
    frames = {"scope": frame("observation_id", ("o2",), ("o10",), ("O3",), ("ö",))}
    expected = [("O3", 0), ("o10", 1), ("o2", 2), ("ö", 3)]
    assert rows(answer(None, "sweep/observation_numbers", frames=frames)) == expected
