import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.errors import SourceError
from lake.sources import delimited
from lake.sources.delimited import MOST_SIGNS, DelimitedText, parts_of, text_of


def text(content, **options):
    """Return a table of text, or of bytes."""
    held = content.encode() if isinstance(content, str) else content
    return DelimitedText("t.csv", lambda: io.BytesIO(held), **options)


def read(content, **options):
    """Return the rows and the malformed rows of a table, row numbers first."""
    parts = list(text(content, **options).parts())
    rows = [row for part in parts for row in part.frame.rows()]
    return rows, [problem for part in parts for problem in part.malformed]


def rows(content, **options):
    return read(content, **options)[0]


def test_every_value_is_the_text_that_it_was():
    assert rows("a,b,c\n007, NA ,\n") == [(2, "007", " NA ", "")]


def test_quotes_hold_delimiters_quotes_and_line_ends():
    assert rows('a,b\n"1,""2""","3\r\n4"\n') == [(2, '1,"2"', "3\r\n4")]


def test_a_row_is_numbered_by_the_line_where_it_begins():
    assert rows('a,b\n"1\n\n2",3\n\n4,5\n') == [(2, "1\n\n2", "3"), (6, "4", "5")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_way_and_the_last_may_not_end(end):
    assert rows(f"a,b{end}1,2{end}3,4") == [(2, "1", "2"), (3, "3", "4")]


def test_a_nul_is_a_sign_like_others():
    assert rows("a,b\n1\0,2\n") == [(2, "1\0", "2")]


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_column():
    for encoding in ("utf-8", "UTF_8", "utf8"):
        assert text("\ufeffa,b\n", encoding=encoding).columns() == ("a", "b")


def test_a_row_of_another_number_of_fields_is_malformed_with_the_reason():
    found, malformed = read("a,b\n1\n2,3\n4,5,6\n")
    assert found == [(3, "2", "3")]
    assert malformed == [
        (2, "line 2 has 1 fields, the header has 2"),
        (4, "line 4 has 3 fields, the header has 2"),
    ]


def test_rows_that_are_all_malformed_leave_an_empty_frame_of_the_columns():
    (part,) = text("a,b\n1\n").parts()
    assert (part.frame.columns, part.frame.height, len(part.malformed)) == (["row_number", "a", "b"], 0, 1)


def test_rows_come_in_parts_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(delimited, "_ROWS_IN_FRAME", 2)
    parts = list(text("a\n1\n2\n3,\n4\n5\n").parts())
    assert [part.frame.rows() for part in parts] == [[(2, "1"), (3, "2")], [(5, "4")], [(6, "5")]]
    assert [len(part.malformed) for part in parts] == [0, 1, 0]


def test_a_table_can_be_read_twice():
    table = text("a\n1\n")
    assert [part.frame.rows() for part in (*table.parts(), *table.parts())] == [[(2, "1")]] * 2


def test_names_of_columns_have_no_outer_space():
    assert text(" a , b\n").columns() == ("a", "b")


def test_a_column_without_a_name_goes_by_its_place():
    assert text("a,, \n").columns() == ("a", "column 2", "column 3")


def test_the_name_of_the_line_numbers_is_not_taken_by_a_column():
    (part,) = text("row_number,a\n7,1\n").parts()
    assert part.frame.to_dicts() == [{"row_number": 2, "row number": "7", "a": "1"}]


def test_a_column_that_is_named_twice_is_an_error_that_names_it():
    with pytest.raises(SourceError, match=r"t\.csv names the column 'a' more than once"):
        text("a,b, a\n").columns()


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_an_error(content):
    with pytest.raises(SourceError, match=r"t\.csv is empty: it has no header"):
        text(content).columns()


def test_a_table_without_rows_has_no_parts():
    assert list(text("a,b\n").parts()) == []


@pytest.mark.parametrize("delimiter", delimited.DELIMITERS)
def test_the_delimiter_is_the_one_that_shows_the_wanted_column(delimiter):
    more = "x".join(sign * 3 for sign in delimited.DELIMITERS if sign != delimiter).strip()
    header = f"a{delimiter}b{delimiter}{more}"
    assert text(f"{header}\n1{delimiter}2{delimiter}3\n").columns("b") == ("a", "b", more)
    (part,) = text(f"{header}\n1{delimiter}2{delimiter}3\n").parts("b")
    assert part.frame.rows() == [(2, "1", "2", "3")]


def test_without_a_wanted_column_the_delimiter_that_shows_most_columns_is_taken():
    assert text("a;b;c,d\n").columns() == ("a", "b", "c,d")
    assert text("a;b;c,d\n").columns("z") == ("a", "b", "c,d")


def test_a_delimiter_that_is_given_is_not_sought():
    assert text("a;b;c,d\n", delimiter=",").columns("b") == ("a;b;c", "d")


def test_a_header_that_is_given_is_no_row_and_the_first_line_is_one():
    assert text("1,2\n", header=["a", "b"]).columns() == ("a", "b")
    assert rows("1,2\n", header=["a", "b"]) == [(1, "1", "2")]
    assert read("", header=["a", "b"]) == ([], [])


def test_lines_before_the_header_are_skipped_and_counted():
    assert text("# made by\n# us\na,b\n1,2\n", skipped_lines=2).columns() == ("a", "b")
    assert rows("# made by\n# us\na,b\n1,2\n", skipped_lines=2) == [(4, "1", "2")]
    assert rows("x,y\n1,2\n", skipped_lines=1, header=["a", "b"]) == [(2, "1", "2")]


def test_without_quoting_a_quote_is_a_sign_like_others():
    assert rows('a\tb\n"1\t2"\n', quote=None, delimiter="\t") == [(2, '"1', '2"')]


def test_another_quote_may_be_said():
    assert rows("a,b\n'1,2','\"'\n", quote="'") == [(2, "1,2", '"')]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_text_is_read_in_its_encoding(encoding):
    assert rows("a,b\né,ß\n".encode(encoding), encoding=encoding) == [(2, "é", "ß")]


def test_text_of_another_encoding_is_an_error_that_names_the_line_and_the_option():
    content = b"a,b\n1,2\n" + "é,3\n".encode("latin-1")
    with pytest.raises(SourceError, match=r"t\.csv is no utf-8 text after line \d: .* say --encoding"):
        rows(content)
    with pytest.raises(SourceError, match=r"t\.csv is no utf-16 text after line 1: .* say --encoding"):
        text("a,b\n", encoding="utf-16").columns()


def test_a_quote_that_was_left_open_is_an_error_that_names_its_line():
    content = 'a,b\n1,2\n"3,4\n' + "5,6\n" * (MOST_SIGNS // 4)
    with pytest.raises(SourceError, match=r"t\.csv, line 3: .*A quote that was left open swallows what follows it"):
        rows(content)


def test_a_field_may_be_as_long_as_the_limit():
    assert rows(f"a\n{'x' * MOST_SIGNS}\n") == [(2, "x" * MOST_SIGNS)]
    with pytest.raises(SourceError, match=r"t\.csv, line 2: field larger than field limit"):
        rows(f"a\n{'x' * (MOST_SIGNS + 1)}\n")


def test_a_line_that_is_no_row_is_refused_without_being_held_whole(tmp_path):
    size = 40 << 20
    with (tmp_path / "t.csv").open("wb") as file:
        file.write(b"a,b\n")
        file.truncate(size)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=r"t\.csv, line 2: it has more than 16,777,216 signs; this is no table"):
            list(text_of(tmp_path / "t.csv").parts())
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        text_of(tmp_path / "none.csv")


def test_a_table_that_cannot_be_opened_is_an_error_that_says_why(tmp_path):
    (tmp_path / "t.csv").symlink_to("a" * 300)
    with pytest.raises(SourceError, match=r"the table .*t\.csv cannot be read: File name too long"):
        text_of(tmp_path / "t.csv")


def test_a_table_that_is_removed_before_it_is_read_is_an_error_that_names_it(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    text = text_of(tmp_path / "t.csv")
    (tmp_path / "t.csv").unlink()
    with pytest.raises(SourceError, match=r"there is no table .*t\.csv"):
        text.columns()


def test_a_column_that_is_needed_and_missing_is_an_error_that_names_its_neighbour(tmp_path):
    (tmp_path / "t.csv").write_text("image;species\na.jpg;1\n")
    with pytest.raises(
        SourceError, match=r"has no column 'specie'; the nearest is 'species'.*parted by ';', are image, "
    ):
        list(parts_of(tmp_path / "t.csv", ["image", "specie"], ";"))
    with pytest.raises(SourceError, match=r"has no column 'xyz'\. Its columns"):
        list(parts_of(tmp_path / "t.csv", ["xyz"], ";"))
    (part,) = parts_of(tmp_path / "t.csv", ["species", "image"], ";")
    assert part.frame.rows() == [(2, "a.jpg", "1")]


cells = st.text(st.one_of(st.sampled_from('";,\n\r\0\t é'), st.characters(codec="utf-8")), max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(cells, cells, cells), max_size=5),
    st.sampled_from(delimited.DELIMITERS),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_what_was_written_is_read_back(table, delimiter, encoding):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([("a", "b", "c"), *table])
    found, malformed = read(written.getvalue().encode(encoding), delimiter=delimiter, encoding=encoding)
    assert ([row[1:] for row in found], malformed) == (table, [])


@pytest.mark.parametrize("row", ['"3,4', '3,"4'])
def test_a_quote_that_is_never_closed_is_an_error_that_names_its_line(row):
    with pytest.raises(SourceError, match=r"t\.csv, line 3: a quote is opened and never closed"):
        rows(f"a,b\n1,2\n{row}\n5,6\n")


def test_empty_lines_before_the_header_are_no_header():
    assert rows("\n\na,b\n1,2\n") == [(4, "1", "2")]


def test_an_encoding_that_is_none_is_an_error_that_names_it():
    with pytest.raises(SourceError, match=r"there is no encoding 'klingon'"):
        text("a,b\n", encoding="klingon")
