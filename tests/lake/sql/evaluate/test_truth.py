from lake_rows import frame, rows

from lake.query import answer


def test_only_observations_in_scope_are_scored_each_with_all_its_species():
    frames = {
        "current_labels": frame("observation_id species_id", ("o1", "s2"), ("o1", "s1"), ("o2", "s1")),
        "scope": frame("observation_id", ("o1",), ("o3",)),
    }
    assert rows(answer(None, "evaluate/truth", frames=frames)) == [("o1", "s1"), ("o1", "s2")]
