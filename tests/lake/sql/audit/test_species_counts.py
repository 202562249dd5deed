from lake_rows import frame, rows

from lake.query import answer


def counts(records, labels, names=()):
    frames = {
        "image_records": frame("dataset observation_id", *records),
        "current_labels": frame("observation_id species_id", *labels),
        "current_species": frame("species_id scientific_name", *names),
    }
    return rows(answer(None, "audit/species_counts", frames=frames, dataset="d"))


def test_a_species_counts_every_photograph_of_its_observations():
    records = [("d", "o1"), ("d", "o1"), ("d", "o2")]
    found = counts(records, [("o1", "s1"), ("o2", "s1")], [("s1", "Poa annua")])
    assert found == [("s1", "Poa annua", 3)]


def test_a_quadrat_counts_for_each_of_its_species():
    assert counts([("d", "q1")], [("q1", "s1"), ("q1", "s2")]) == [("s1", "s1", 1), ("s2", "s2", 1)]


def test_a_species_without_a_name_goes_by_its_id():
    assert counts([("d", "o1")], [("o1", "s1")]) == [("s1", "s1", 1)]


def test_species_come_by_their_photographs_and_of_as_many_by_their_ids():
    labels = [("o1", "s3"), ("o2", "s2"), ("o3", "s1")]
    found = counts([("d", "o1"), ("d", "o2"), ("d", "o3"), ("d", "o1")], labels)
    assert [species for species, _, _ in found] == ["s3", "s1", "s2"]


def test_photographs_without_a_label_and_other_data_sets_are_not_seen():
    assert counts([("d", "o1"), ("e", "o2")], [("o2", "s1")]) == []
