import pytest

from flows import parts
from lake.decisions import Part
from modeling.tiling import parse

DOWN, UP = "pyramid-518-6..1", "pyramid-518-1..6"


def test_what_is_stored_or_of_its_own_has_to_be_there():
    assert parts.needed(["whole", "grid-2x2+whole", "grid-3x3"], []) == ["whole", "grid-2x2", "grid-3x3"]
    assert parts.needed(["grid-2x2"], ["grid-2x2", "grid-3x3"]) == ["grid-2x2"]


@pytest.mark.parametrize("whole", [DOWN, UP])
def test_a_level_is_read_from_a_pyramid_that_is_stored(whole):
    assert parts.needed(["pyramid-518-4", "pyramid-518-2..3"], [whole]) == [whole]


@pytest.mark.parametrize("whole", [DOWN, UP])
def test_a_level_is_read_from_a_pyramid_that_is_asked_for_beside_it(whole):
    assert parts.needed(["pyramid-518-4", f"whole+{whole}"], []) == [whole, "whole"]


def test_what_is_stored_under_its_own_name_is_read_there():
    assert parts.needed(["pyramid-518-4"], [DOWN, "pyramid-518-4"]) == ["pyramid-518-4"]
    assert parts.parts_of("pyramid-518-4", [DOWN, "pyramid-518-4"]) == [Part("pyramid-518-4", "pyramid-518-4")]


@pytest.mark.parametrize("other", ["pyramid-224-6..1", "pyramid-518-3..1", "grid-4x4", "whole"])
def test_a_pyramid_without_the_level_or_of_other_tiles_is_of_no_use(other):
    assert parts.needed(["pyramid-518-4"], [other]) == ["pyramid-518-4"]
    assert parts.parts_of("pyramid-518-4", [other]) == [Part("pyramid-518-4", "pyramid-518-4")]


@pytest.mark.parametrize("whole", [DOWN, UP, "pyramid-518-2..5"])
@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_the_tiles_of_a_level_are_those_that_the_tiling_says(whole, level):
    (part,) = parts.parts_of(f"pyramid-518-{level}", [whole])
    numbers = [tile.index for tile in parse(whole).tiles(1200, 900) if tile.level == level]
    assert (part.scheme_id, part.first_tile, part.last_tile) == (whole, numbers[0], numbers[-1])
    assert part.last_tile - part.first_tile + 1 == len(numbers)


@pytest.mark.parametrize("asked", ["pyramid-518-4..2", "pyramid-518-2..4"])
def test_a_pyramid_within_another_is_its_levels(asked):
    found = parts.parts_of(asked, [DOWN])
    assert {part.scheme_id for part in found} == {DOWN}
    assert [part.name for part in found] == parts.levels_of(asked)
    counted = sum(part.last_tile - part.first_tile + 1 for part in found)
    assert counted == parse(asked).tile_count


def test_several_tilings_are_each_found_where_they_stand():
    whole, level = parts.parts_of("whole+pyramid-518-6", ["whole", DOWN])
    assert whole == Part("whole", "whole")
    assert level == Part("pyramid-518-6", DOWN, 0, 35)


def test_the_levels_of_a_pyramid_come_in_its_order():
    assert parts.levels_of("pyramid-518-3..1") == ["pyramid-518-3", "pyramid-518-2", "pyramid-518-1"]
    assert parts.levels_of("pyramid-518-1..3") == ["pyramid-518-1", "pyramid-518-2", "pyramid-518-3"]
    assert parts.levels_of("pyramid-518-4") == ["pyramid-518-4"]


def test_the_levels_of_other_tilings_are_themselves():
    assert parts.levels_of("whole") == ["whole"]
    assert parts.levels_of("whole+pyramid-518-3..1") == ["whole", "pyramid-518-3..1"]
