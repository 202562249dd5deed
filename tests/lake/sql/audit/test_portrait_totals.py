from lake_rows import frame, rows

from lake.query import answer


def totals(records, labels=()):
    frames = {
        "image_records": frame("dataset observation_id", *records),
        "current_labels": frame("observation_id species_id", *labels),
    }
    found = answer(None, "audit/portrait_totals", frames=frames, dataset="d")
    return rows(found, "photographs observations species labelled")


def test_photographs_of_one_observation_are_one_observation():
    assert totals([("d", "o1"), ("d", "o1"), ("d", "o2")]) == [(3, 2, 0, 0)]


def test_species_and_labelled_observations_are_counted_once():
    labels = [("o1", "s1"), ("o1", "s2"), ("o2", "s1")]
    assert totals([("d", "o1"), ("d", "o2")], labels) == [(2, 2, 2, 2)]


def test_other_data_sets_are_not_seen_and_an_empty_one_is_a_row():
    assert totals([("e", "o1")]) == [(0, 0, 0, 0)]
