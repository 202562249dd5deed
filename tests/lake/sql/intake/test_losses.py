import pytest
from lake_rows import frame, rows, staged

from lake.query import answer


def losses(*lost, species=(), columns="kind extension row_count"):
    """Return losses of (row_number, image_name, kind) that are set aside for the first time."""
    found = [(*row, "set_aside", False)[:5] if len(row) == 3 else row for row in lost]
    frames = {
        "outcomes": frame("row_number image_name kind outcome is_known_issue", *found),
        "source_species": staged("source_species", "row_number species_id", *species),
    }
    return rows(answer(None, "intake/losses", frames=frames), columns)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        *[("x/a.jpg", "jpg"), ("a.b.PNG", "PNG"), ("a", "none"), ("a.", "none"), ("x.y/a", "none")],
        *[("x.y\\a", "none"), ("mr. smith", "none"), ("a.muchtoolongforone", "none")],
    ],
)
def test_the_extension_of_a_file_is_what_follows_its_last_dot(name, extension):
    assert losses((1, name, "truncated"), columns="extension") == [(extension,)]


def test_losses_are_by_reason_and_extension_the_largest_first():
    lost = [
        (1, "a.jpg", "truncated"),
        (2, "b.gif", "unreadable"),
        (3, "c.gif", "unreadable"),
        (4, "d.gif", "truncated"),
    ]
    assert losses(*lost) == [("unreadable", "gif", 2), ("truncated", "gif", 1), ("truncated", "jpg", 1)]


def test_what_is_kept_and_what_was_set_aside_before_is_no_loss():
    assert losses((1, "a.jpg", None, "new", False), (2, "b.jpg", "truncated", "set_aside", True)) == []


def test_the_first_name_is_the_example():
    assert losses((1, "b.jpg", "truncated"), (2, "a.jpg", "truncated"), columns="example") == [("a.jpg",)]


def test_the_three_species_that_lose_most_are_named_and_all_are_counted():
    lost = [(number, f"{number}.jpg", "truncated") for number in range(1, 6)]
    species = [(1, "s4"), (2, "s3"), (3, "s2"), (4, "s1"), (5, "s4")]
    found = losses(*lost, species=species, columns="row_count species_count most_frequent")
    assert found == [(5, 4, ["s4 2", "s1 1", "s2 1"])]


def test_a_row_of_several_species_is_one_row_lost():
    species = [(1, "s1"), (1, "s2")]
    assert losses((1, "q.jpg", "truncated"), species=species, columns="row_count most_frequent") == [
        (1, ["s1 1", "s2 1"])
    ]


def test_a_species_that_a_row_says_twice_loses_it_once():
    species = [(1, "s1"), (1, "s1")]
    assert losses((1, "a.jpg", "truncated"), species=species, columns="most_frequent") == [(["s1 1"],)]


def test_files_that_no_row_names_lose_no_species():
    found = losses((None, "a.jpg", "file_without_row"), species=[(None, "s1")], columns="species_count most_frequent")
    assert found == [(0, None)]
