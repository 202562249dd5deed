from lake_rows import day, frame, rows

from lake.query import answer


def test_the_latest_prior_stands_first_and_a_tie_goes_to_the_smaller_id():
    specs = frame(
        "prior_id kind recorded_at",
        *(("a-1", "mask", day(1)), ("b-1", "month", day(2)), ("c-2", "mask", day(3)), ("c-1", "mask", day(3))),
    )
    places = frame("prior_id dataset observation_id", ("a-1", "d", "o1"), ("a-1", "d", "o2"), ("b-1", "e", "o1"))
    found = answer(None, "priors/known_priors", frames={"prior_specs": specs, "prior_places": places}, dataset="d")
    assert rows(found, "prior_id is_for_dataset")[-2:] == [("b-1", False), ("a-1", True)]
    assert rows(found, "prior_id kind") == [("c-1", "mask"), ("c-2", "mask"), ("b-1", "month"), ("a-1", "mask")]
