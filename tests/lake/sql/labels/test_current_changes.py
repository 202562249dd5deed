from lake_rows import day, filled, rows

from lake.query import answer

CHANGE = "old_species_id new_species_id kind recorded_at"


def holding(*changes):
    return rows(
        answer(None, "labels/current_changes", frames={"taxon_changes": filled("taxon_changes", CHANGE, *changes)})
    )


def test_the_latest_word_on_a_species_replaces_the_earlier_ones_whole():
    first = ("a", "b", "rename", day(1))
    split = [("a", "c", "split", day(2)), ("a", "d", "split", day(2))]
    assert holding(first, *split) == [("a", "c", "split"), ("a", "d", "split")]


def test_a_later_word_on_one_species_leaves_the_others_alone():
    changes = [("a", "b", "rename", day(1)), ("c", "d", "rename", day(2))]
    assert holding(*changes) == [("a", "b", "rename"), ("c", "d", "rename")]
