import pyarrow as pa
from lake_rows import rows

from lake.query import answer


def changes(*observations, most=10):
    kinds = pa.schema([("gained", pa.list_(pa.string())), ("lost", pa.list_(pa.string()))])
    frame = pa.Table.from_pylist([{"gained": gained, "lost": lost} for gained, lost in observations], schema=kinds)
    return rows(answer(None, "submissions/species_changes", frames={"observation_changes": frame}, most=most))


def test_gains_and_losses_are_counted_apart_and_the_most_frequent_come_first():
    assert changes((["a", "b"], []), (["b"], ["a"]), ([], ["a"])) == [
        ("gained", "b", 2),
        ("gained", "a", 1),
        ("lost", "a", 2),
    ]


def test_of_each_no_more_are_listed_than_asked_for_and_a_tie_goes_to_the_smaller_id():
    assert changes((["b", "a"], ["d", "c"]), most=1) == [("gained", "a", 1), ("lost", "c", 1)]
