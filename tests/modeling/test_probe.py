from collections.abc import Callable, Sequence

import pytest

from modeling.errors import ProbeError
from modeling.probe import Probed, probe

SPECIES = ["10", "9", "HM 1954", "8"]
PHOTOGRAPHS = [species.encode() for species in SPECIES * 5]  # of which each shows the name of its species
LABELS = SPECIES * 5


def model(order: Sequence[str]) -> Callable[[list[bytes]], list[str | None]]:
    """A model that finds the right class index, and takes names from a list."""
    return lambda photographs: [order[SPECIES.index(photograph.decode())] for photograph in photographs]


def test_a_model_that_calls_species_by_their_names_passes():
    found = probe(model(SPECIES), PHOTOGRAPHS, LABELS, SPECIES)
    assert found == Probed(photographs=20, by_name=1.0, permuted=0.0)
    assert "of 20 labelled photographs 100% are called by their names, and 0% when" in found.words


def test_class_indices_that_mean_other_species_are_refused_with_an_example():
    with pytest.raises(ProbeError, match=r"0% are called by their names.*10 is called 9\. Nothing was registered"):
        probe(model(["9", "10", "8", "HM 1954"]), PHOTOGRAPHS, LABELS, SPECIES)


def test_species_that_are_moved_on_by_one_are_refused_as_just_that():
    with pytest.raises(ProbeError, match="and 100% when the species are moved on by one class index"):
        probe(model([*SPECIES[-1:], *SPECIES[:-1]]), PHOTOGRAPHS, LABELS, SPECIES)


def test_two_species_that_are_swapped_among_many_are_refused():
    with pytest.raises(ProbeError, match="9 is called 10"):
        probe(model(["10", "10", "HM 1954", "8"]), PHOTOGRAPHS, LABELS, SPECIES)


def test_rounding_may_turn_one_photograph_in_ten():
    def most(photographs: list[bytes]) -> list[str | None]:
        return ["8", None, *model(SPECIES)(photographs)[2:]]

    def fewer(photographs: list[bytes]) -> list[str | None]:
        return ["8", None, None, *model(SPECIES)(photographs)[3:]]

    assert probe(most, PHOTOGRAPHS, LABELS, SPECIES).by_name == 0.9
    with pytest.raises(ProbeError, match="85%"):
        probe(fewer, PHOTOGRAPHS, LABELS, SPECIES)


def test_a_name_that_is_no_class_of_the_model_is_wrong_not_an_accident():
    with pytest.raises(ProbeError, match="10 is called Poa annua"):
        probe(lambda photographs: ["Poa annua"] * len(photographs), PHOTOGRAPHS, LABELS, SPECIES)


def test_without_photographs_nothing_is_shown():
    with pytest.raises(ProbeError, match="no photograph was sent"):
        probe(lambda photographs: [], [], [], SPECIES)
