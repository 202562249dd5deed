from lake_rows import frame, rows

from lake.query import answer


def test_an_observation_of_several_species_is_no_single_label_truth():
    frames = {
        "current_labels": frame("observation_id species_id", ("o1", "s1"), ("o2", "s1"), ("o2", "s2"), ("o3", "s1")),
        "scope": frame("observation_id", ("o1",), ("o2",)),
    }
    assert rows(answer(None, "evaluate/single_truth", frames=frames)) == [("o1", "s1")]
