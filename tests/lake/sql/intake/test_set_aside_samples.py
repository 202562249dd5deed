from lake_rows import frame, rows, staged

from lake.query import answer


def samples(*outcomes, matched=(), files=(), most=9, columns="image_name kind"):
    """Return samples of outcomes (row_number, image_name, kind, detail, location[, outcome])."""
    place = "location byte_count modified_ns position"
    frames = {
        "outcomes": frame(
            "row_number image_name kind detail location outcome", *((*row, "set_aside")[:6] for row in outcomes)
        ),
        "matched_rows": frame(f"row_number {place}", *matched),
        "source_files": staged("source_files", place, *files),
    }
    return rows(answer(None, "intake/set_aside_samples", frames=frames, most=most), columns)


def test_what_is_kept_is_no_sample():
    assert samples((2, "a.jpg", None, None, "/a.jpg", "new"), (3, "b.jpg", None, None, "/b.jpg", "unread")) == []


def test_there_are_at_most_so_many_of_each_reason():
    found = [(number, f"{number}.jpg", kind, "", "/p") for number in (1, 2, 3) for kind in ("truncated", "unreadable")]
    assert samples(*found, most=2) == [
        ("1.jpg", "truncated"),
        ("2.jpg", "truncated"),
        ("1.jpg", "unreadable"),
        ("2.jpg", "unreadable"),
    ]


def test_those_that_have_a_file_come_first():
    found = (2, "a.jpg", "duplicate_name", "", None), (3, "b.jpg", "duplicate_name", "", "/b.jpg")
    assert samples(*found, most=1) == [("b.jpg", "duplicate_name")]


def test_a_sample_of_a_row_has_the_file_that_was_matched():
    found = samples(
        (2, "a.jpg", "truncated", "it ends early", "/p!/a.jpg"),
        matched=[(2, "/p!/a.jpg", 5, 7, 512)],
        files=[("/p!/a.jpg", 0, 0, 0)],
        columns="location byte_count modified_ns position detail",
    )
    assert found == [("/p!/a.jpg", 5, 7, 512, "it ends early")]


def test_a_sample_of_a_file_without_a_row_has_that_file():
    found = samples(
        (None, "a.jpg", "file_without_row", None, "/a.jpg"),
        files=[("/a.jpg", 5, 7, None), ("/b.jpg", 0, 0, None)],
        columns="location byte_count modified_ns position detail",
    )
    assert found == [("/a.jpg", 5, 7, None, "")]


def test_a_place_that_is_listed_twice_is_one_sample_for_each_outcome():
    files = [("/p!/a.jpg", 5, 7, 512), ("/p!/a.jpg", 6, 7, 2048)]
    found = samples((None, "a.jpg", "file_without_row", None, "/p!/a.jpg"), files=files, columns="byte_count position")
    assert found == [(6, 2048)]


def test_a_row_without_a_file_has_none():
    found = samples((2, "a.jpg", "row_without_file", "", None), matched=[(2, None, -1, -1, None)], columns="location")
    assert found == [(None,)]
