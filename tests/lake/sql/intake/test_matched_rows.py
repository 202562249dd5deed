import pytest
from lake_rows import rows, staged

from lake.query import answer

NAMED = "row_number image_name file_name"


def matched(said, files=(), unique=False, columns="image_name location kind", given=NAMED, place="file_name location"):
    frames = {"source_rows": staged("source_rows", given, *said), "source_files": staged("source_files", place, *files)}
    found = answer(None, "intake/matched_rows", frames=frames, names_are_unique=unique)
    return [row[1:] for row in sorted(rows(found, f"row_number {columns}"))]


def test_a_row_has_the_file_of_its_name():
    files = [("a.jpg", "/p/a.jpg", 5, 7, 9), ("b.jpg", "/p/b.jpg", 0, 0, 0)]
    place = "file_name location byte_count modified_ns position"
    found = matched([(2, "the a", "a.jpg")], files, columns=place.replace("file_name", "image_name"), place=place)
    assert found == [("the a", "/p/a.jpg", 5, 7, 9)]


def test_a_row_without_a_file_is_set_aside():
    found = matched([(2, "a.jpg", "x/a.jpg")], [("y/a.jpg", "/p/y/a.jpg")], columns="location kind detail")
    assert found == [(None, "row_without_file", "row 2: there is no file x/a.jpg")]


def test_a_row_without_a_file_and_without_an_address_is_set_aside():
    found = matched([(2, "a.jpg", None)], columns="kind detail")
    assert found == [("row_without_file", "row 2: there is no file and no address")]


def test_a_row_without_a_file_is_fetched_from_its_address():
    said = [(2, "a.jpg", "a.jpg", "https://x/a.jpg")]
    found = matched(said, columns="location byte_count modified_ns position kind", given=f"{NAMED} url")
    assert found == [("https://x/a.jpg", -1, -1, None, None)]


def test_a_file_comes_before_an_address():
    said = [(2, "a.jpg", "a.jpg", "https://x/a.jpg")]
    assert matched(said, [("a.jpg", "/p/a.jpg")], given=f"{NAMED} url") == [("a.jpg", "/p/a.jpg", None)]


def test_where_names_are_unique_folders_do_not_matter():
    found = matched([(2, "x/a.jpg", "x/a.jpg")], [("y/z/a.jpg", "/p/y/z/a.jpg")], unique=True)
    assert found == [("x/a.jpg", "/p/y/z/a.jpg", None)]


def test_of_two_files_of_one_unique_name_the_first_by_path_is_taken():
    files = [("y/a.jpg", "/p/y/a.jpg"), ("b/a.jpg", "/p/b/a.jpg")]
    assert matched([(2, "a.jpg", "a.jpg")], files, unique=True) == [("a.jpg", "/p/b/a.jpg", None)]


def test_of_two_files_of_one_unique_name_the_one_that_can_be_read_is_taken():
    files = [("b/a.jpg", "/p/b/a.jpg", "unreadable"), ("y/a.jpg", "/p/y/a.jpg", None)]
    found = matched([(2, "a.jpg", "a.jpg")], files, unique=True, place="file_name location kind")
    assert found == [("a.jpg", "/p/y/a.jpg", None)]


def test_of_two_members_of_an_archive_under_one_name_the_later_one_holds():
    files = [("a.jpg", "/p.tar!/a.jpg", 512), ("a.jpg", "/p.tar!/a.jpg", 2048), ("a.jpg", "/p.tar!/a.jpg", 1024)]
    found = matched([(2, "a.jpg", "a.jpg")], files, columns="position", place="file_name location position")
    assert found == [(2048,)]


def test_of_two_files_whose_names_are_one_the_first_by_place_is_taken():
    files = [("é.jpg", "/p/é.jpg"), ("é.jpg", "/p/e\u0301.jpg")]
    assert matched([(1, "é.jpg", "é.jpg")], files) == [("é.jpg", "/p/e\u0301.jpg", None)]


def test_a_name_that_comes_again_is_set_aside_and_the_first_row_stands():
    said = [(4, "a.jpg", "a.jpg"), (2, "a.jpg", "a.jpg"), (3, "b.jpg", "a.jpg")]
    assert matched(said, [("a.jpg", "/p/a.jpg")], columns="image_name kind detail") == [
        ("a.jpg", None, None),
        ("b.jpg", None, None),
        ("a.jpg", "duplicate_name", "row 4 names the photograph once more"),
    ]


def test_a_row_that_is_set_aside_does_not_make_the_next_a_duplicate():
    said = [(2, "a.jpg", "../a.jpg", "outside_root", "it leads out"), (3, "a.jpg", "a.jpg", None, None)]
    found = matched(said, [("a.jpg", "/p/a.jpg")], columns="kind detail", given=f"{NAMED} kind detail")
    assert found == [("outside_root", "it leads out"), (None, None)]


@pytest.mark.parametrize("file_name", [None, "a.jpg"])
def test_a_row_without_a_name_is_set_aside_under_its_number(file_name):
    said = [(2, None, file_name), (3, None, file_name)]
    assert matched(said, [("a.jpg", "/p/a.jpg")], columns="image_name observation_id kind detail") == [
        ("row 2", None, "row_without_name", "row 2 names no photograph"),
        ("row 3", None, "row_without_name", "row 3 names no photograph"),
    ]


def test_a_file_that_cannot_be_read_sets_its_row_aside():
    files = [("a.jpg", "/p/a.jpg", "link_outside_root", "it leads to /q")]
    said = [(2, "a.jpg", "a.jpg", "https://x/a.jpg")]
    found = matched(
        said, files, columns="location kind detail", given=f"{NAMED} url", place="file_name location kind detail"
    )
    assert found == [("/p/a.jpg", "link_outside_root", "it leads to /q")]


def test_without_an_observation_of_its_own_a_photograph_is_one():
    said = [(2, "a.jpg", "a.jpg", "o1"), (3, "b.jpg", "b.jpg", None)]
    assert matched(said, columns="observation_id", given=f"{NAMED} observation_id") == [("o1",), ("b.jpg",)]


def test_what_a_row_says_is_handed_on():
    said = {
        **{"split_tag": "val", "organ": "leaf", "latitude": 1.5, "longitude": 2.5, "country_code": "FR"},
        **{"base_quadrat": "q", "transect": "t", "license": "CC0", "author": "Me", "extra": "{}"},
    }
    found = matched([(2, "a.jpg", "a.jpg", *said.values())], columns=" ".join(said), given=f"{NAMED} {' '.join(said)}")
    assert found == [tuple(said.values())]
