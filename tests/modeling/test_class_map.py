import pytest

from modeling.class_map import ClassMap
from modeling.errors import ClassMapMismatchError, TrainingError


def test_a_class_map_does_not_depend_on_the_order_in_which_species_were_met():
    met = ClassMap.of({"9": "Poa", "10": "Lolium", "HM 1954": "Vipera"})
    met_otherwise = ClassMap.of({"HM 1954": "Vipera", "10": "Lolium", "9": "Poa"})
    assert met == met_otherwise
    assert met.class_map_id == met_otherwise.class_map_id


def test_index_and_species_are_each_others_inverse():
    classes = ClassMap.of({"9": "Poa", "10": "Lolium", "11": "Vipera"})
    assert [classes.index[species_id] for species_id in classes.species_ids] == [0, 1, 2]
    assert len(classes) == 3


def test_names_stay_beside_their_species():
    classes = ClassMap.of({"9": "Poa", "10": "Lolium"})
    assert dict(zip(classes.species_ids, classes.scientific_names, strict=True)) == {"9": "Poa", "10": "Lolium"}


def test_another_order_is_another_class_map():
    assert ClassMap(("1", "2"), ("", "")).class_map_id != ClassMap(("2", "1"), ("", "")).class_map_id


def test_ids_are_not_run_together():
    assert ClassMap(("1", "23"), ("", "")).class_map_id != ClassMap(("12", "3"), ("", "")).class_map_id


def test_a_corrected_name_leaves_the_id_as_it_is():
    assert (
        ClassMap.of({"1": "Poa anua", "2": "x"}).class_map_id == ClassMap.of({"1": "Poa annua", "2": "x"}).class_map_id
    )


def test_the_id_is_the_hash_that_registered_models_carry():
    assert ClassMap.of({"1": "", "2": ""}).class_map_id == "8169cab3831aaa01"


def test_a_mismatch_names_both_class_maps():
    classes, others = ClassMap.of({"1": "", "2": ""}), ClassMap.of({"1": "", "3": ""})
    classes.require(classes.class_map_id, "the head")
    with pytest.raises(ClassMapMismatchError, match=f"the head .*{others.class_map_id}.*{classes.class_map_id}"):
        classes.require(others.class_map_id, "the head")


@pytest.mark.parametrize("names", [{}, {"1": "Poa annua"}])
def test_fewer_than_two_species_are_nothing_to_tell_apart(names: dict[str, str]):
    with pytest.raises(TrainingError, match=f"show {len(names)} species"):
        ClassMap.of(names)
