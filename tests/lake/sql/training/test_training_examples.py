import pytest
from lake_rows import frame, rows

from lake.query import answer

SPECIES = "species_id scientific_name genus family is_venomous"
POA = ("s1", "Poa annua", "Poa", "Poaceae", False), ("s2", "Poa trivialis", "Poa", "Poaceae", False)


def examples(records, labels, splits, columns="image_id species_id split", species=POA):
    """Return (image_id, species_id, split) for records of (observation_id, image_id[, tag[, country]])."""
    frames = {
        "image_records": frame(
            "dataset observation_id image_id split_tag country_code",
            *(("d", *(*record, None, None)[:4]) for record in records),
        ),
        "current_labels": frame("observation_id species_id", *labels),
        "splits": frame("split_id observation_id split", *(("p", *split) for split in splits)),
        "current_species": frame(SPECIES, *species),
    }
    found = answer(None, "training/training_examples", frames=frames, dataset="d", split_id="p")
    return rows(found, columns)


def test_every_photograph_of_a_labelled_observation_is_an_example():
    found = examples([("o1", "i1"), ("o1", "i2")], [("o1", "s1")], [("o1", "train")])
    assert found == [("i1", "s1", "train"), ("i2", "s1", "train")]


def test_test_observations_are_no_examples():
    assert examples([("o1", "i1")], [("o1", "s1")], [("o1", "test")]) == []


def test_an_observation_of_several_species_is_left_out():
    assert examples([("q1", "i1")], [("q1", "s1"), ("q1", "s2")], [("q1", "train")]) == []


@pytest.mark.parametrize("side", ["train", "val"])
def test_the_bytes_of_a_test_photograph_are_not_learnt_from_under_another_name(side):
    records = ("o1", "same"), ("o2", "same")
    assert examples(records, [("o1", "s1"), ("o2", "s1")], [("o1", side), ("o2", "test")]) == []


def test_the_bytes_of_a_test_photograph_without_a_label_are_not_learnt_from_either():
    assert examples([("o1", "same"), ("o2", "same", "test")], [("o1", "s1")], [("o1", "train")]) == []


def test_the_bytes_of_a_test_quadrat_are_not_learnt_from_either():
    labels = ("o1", "s1"), ("q2", "s1"), ("q2", "s2")
    assert examples([("o1", "same"), ("q2", "same")], labels, [("o1", "train"), ("q2", "test")]) == []


def test_bytes_on_both_sides_are_validated_on_and_not_learnt_from():
    found = examples([("o1", "same"), ("o2", "same")], [("o1", "s1"), ("o2", "s1")], [("o1", "train"), ("o2", "val")])
    assert found == [("same", "s1", "val")]


def test_the_place_in_the_split_comes_before_the_tag_of_the_source():
    assert examples([("o1", "i1", "test")], [("o1", "s1")], [("o1", "train")]) == [("i1", "s1", "train")]


def test_an_observation_without_a_place_is_no_example():
    assert examples([("o1", "i1", "train")], [("o1", "s1")], []) == []


def test_a_species_goes_by_its_name_and_without_one_by_its_id():
    found = examples(
        [("o1", "i1"), ("o2", "i2")],
        [("o1", "s1"), ("o2", "new")],
        [("o1", "train"), ("o2", "train")],
        "species_id scientific_name",
    )
    assert found == [("s1", "Poa annua"), ("new", "new")]


@pytest.mark.parametrize("side", ["train", "val"])
def test_bytes_that_are_labelled_as_two_species_are_left_out(side):
    records = ("o1", "same"), ("o2", "same"), ("o3", "other")
    labels = ("o1", "s1"), ("o2", "s2"), ("o3", "s1")
    assert examples(records, labels, [("o1", side), ("o2", side), ("o3", side)]) == [("other", "s1", side)]


def test_bytes_that_are_labelled_alike_twice_are_two_examples():
    labels = ("o1", "s1"), ("o2", "s1")
    found = examples([("o1", "same"), ("o2", "same")], labels, [("o1", "train"), ("o2", "train")])
    assert found == [("same", "s1", "train"), ("same", "s1", "train")]


def test_a_quadrat_does_not_contradict_a_photograph_of_the_same_bytes():
    labels = ("o1", "s1"), ("q2", "s1"), ("q2", "s2")
    found = examples([("o1", "same"), ("q2", "same")], labels, [("o1", "train"), ("q2", "train")])
    assert found == [("same", "s1", "train")]


def test_other_data_sets_and_splits_are_not_seen():
    frames = {
        "image_records": frame(
            "dataset observation_id image_id split_tag country_code",
            ("d", "o1", "i", None, "DE"),
            ("e", "o2", "i", None, "FR"),
        ),
        "current_labels": frame("observation_id species_id", ("o1", "s1"), ("o2", "s2")),
        "splits": frame("split_id observation_id split", ("p", "o1", "train"), ("other", "o1", "test")),
        "current_species": frame(SPECIES),
    }
    found = answer(None, "training/training_examples", frames=frames, dataset="d", split_id="p")
    assert rows(found, "image_id species_id split country_code") == [("i", "s1", "train", "DE")]


def taxon(scientific_name, genus=None, family=None, is_venomous=None):
    """Return (genus, family, is_venomous) of an example whose species is known as this."""
    known = [("s1", scientific_name, genus, family, is_venomous)]
    (found,) = examples([("o1", "i1")], [("o1", "s1")], [("o1", "train")], "genus family is_venomous", species=known)
    return found


def test_an_example_says_what_is_known_of_its_species():
    assert taxon("Vipera berus", "Vipera", "Viperidae", True) == ("Vipera", "Viperidae", True)
    assert taxon("Vipera berus", "Pelias") == ("Pelias", None, None)


@pytest.mark.parametrize(
    ("scientific_name", "genus"),
    [
        ("Poa annua", "Poa"),
        ("Poa annua L.", "Poa"),
        ("Aster-like annua", "Aster-like"),
        ("Poa", None),
        ("poa annua", None),
        ("1355868", None),
        ("Poa 12", None),
        ("", None),
        (None, None),
    ],
)
def test_where_nobody_says_the_genus_a_name_of_two_words_does_and_no_other(scientific_name, genus):
    assert taxon(scientific_name)[0] == genus


def test_a_species_that_nobody_knows_has_no_genus_family_or_venom():
    (found,) = examples([("o1", "i1")], [("o1", "new")], [("o1", "train")], "scientific_name genus family is_venomous")
    assert found == ("new", None, None, None)


def test_the_country_is_that_of_the_observation_on_whichever_of_its_photographs_it_stands():
    records = ("o1", "i1", None, None), ("o1", "i2", None, "DE"), ("o2", "i3", None, None)
    found = examples(records, [("o1", "s1"), ("o2", "s1")], [("o1", "train"), ("o2", "val")], "image_id country_code")
    assert found == [("i1", "DE"), ("i2", "DE"), ("i3", None)]
