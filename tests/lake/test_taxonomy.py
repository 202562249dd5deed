import pytest
from lake_rows import held, rows

from lake import query, tables
from lake.errors import SourceError
from lake.taxonomy import append_changes, read_changes

HEADER = "old_species_id,new_species_id,kind\n"


def written(folder, text):
    path = folder / "changes.csv"
    path.write_text(text)
    return path


def changes(folder, text):
    return read_changes(written(folder, text)).rows()


def take_in(lake, folder, *lines):
    csv = written(folder, HEADER + "".join(f"{line}\n" for line in lines))
    return append_changes(lake, csv, read_changes(csv), "run")


def on_record(lake):
    return held(lake, "taxon_changes", "old_species_id new_species_id kind")


def test_changes_are_read_as_text_in_their_order(tmp_path):
    assert changes(tmp_path, HEADER + "007, b ,rename\n1,2,merge\n") == [("007", "b", "rename"), ("1", "2", "merge")]


def test_columns_stand_in_any_order_beside_others_and_parted_by_any_sign(tmp_path):
    text = "kind;why;new_species_id;old_species_id\nrename;x;b;a\n"
    assert changes(tmp_path, text) == [("a", "b", "rename")]


def test_a_change_that_is_said_twice_is_one(tmp_path):
    assert changes(tmp_path, HEADER + "a,b,rename\na,b,rename\n") == [("a", "b", "rename")]


def test_a_table_without_rows_has_no_changes(tmp_path):
    assert changes(tmp_path, HEADER) == []


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        read_changes(tmp_path / "none.csv")


def test_a_column_that_is_missing_is_an_error_that_shows_those_that_are_there(tmp_path):
    with pytest.raises(SourceError, match=r"has no column new_species_id, kind; its columns are old_species_id, new"):
        changes(tmp_path, "old_species_id,new\na,b\n")


def test_a_row_of_another_number_of_fields_is_an_error_that_names_its_line(tmp_path):
    with pytest.raises(SourceError, match=r"line 3: line 3 has 2 fields, the header has 3"):
        changes(tmp_path, HEADER + "a,b,rename\nc,d\n")


@pytest.mark.parametrize("row", ["a,,rename", ",b,rename", "a,b,", "a,b,lump", "a,a,rename", "a, a,merge"])
def test_a_row_that_is_no_change_is_an_error_that_names_its_line(tmp_path, row):
    with pytest.raises(SourceError, match=r"line 3: \[.*\] is no change; it takes .* one of rename, merge, split"):
        changes(tmp_path, f"{HEADER}x,y,rename\n{row}\n")


def test_changes_come_on_record_with_their_source(lake, tmp_path):
    done = take_in(lake, tmp_path, "a,b,rename", "c,d,split", "c,e,split", "f,b,merge")
    assert done.row_count == 4
    assert on_record(lake) == [("a", "b", "rename"), ("c", "d", "split"), ("c", "e", "split"), ("f", "b", "merge")]
    assert set(held(lake, "taxon_changes", "source flow_run_id")) == {(str(tmp_path / "changes.csv"), "run")}


def test_the_same_table_again_writes_nothing(lake, tmp_path):
    take_in(lake, tmp_path, "a,b,rename")
    before = tables.latest(lake, "taxon_changes")
    assert take_in(lake, tmp_path, "a,b,rename").row_count == 0
    assert tables.latest(lake, "taxon_changes") == before


def test_a_table_that_has_grown_adds_what_is_new(lake, tmp_path):
    take_in(lake, tmp_path, "a,b,rename")
    assert take_in(lake, tmp_path, "a,b,rename", "b,c,rename").row_count == 1
    assert on_record(lake) == [("a", "b", "rename"), ("b", "c", "rename")]


def test_a_table_without_changes_writes_nothing(lake, tmp_path):
    assert take_in(lake, tmp_path).row_count == 0


@pytest.mark.parametrize("kind", ["rename", "merge"])
def test_a_species_that_becomes_several_without_a_split_is_an_error(lake, tmp_path, kind):
    with pytest.raises(SourceError, match=r"the species 'a' would be .* into several, which is a split: b, c"):
        take_in(lake, tmp_path, f"a,b,{kind}", f"a,c,{kind}")
    assert on_record(lake) == []


def test_a_species_that_is_split_and_renamed_is_an_error(lake, tmp_path):
    with pytest.raises(SourceError, match=r"the species 'a' would be .* into several"):
        take_in(lake, tmp_path, "a,b,split", "a,c,split", "a,d,rename")


def test_a_later_word_on_a_species_replaces_the_earlier_one(lake, tmp_path):
    take_in(lake, tmp_path, "a,b,rename", "x,y,rename")
    take_in(lake, tmp_path, "a,c,split", "a,d,split")
    (snapshot,) = tables.latest(lake, "taxon_changes")
    held = rows(query.answer(lake, "labels/current_changes", [snapshot]))
    assert held == [("a", "c", "split"), ("a", "d", "split"), ("x", "y", "rename")]


def test_a_split_into_one_is_an_error(lake, tmp_path):
    with pytest.raises(SourceError, match=r"the species 'a' would be a split into one: b"):
        take_in(lake, tmp_path, "a,b,split")


def test_a_circle_is_an_error_that_names_its_species(lake, tmp_path):
    with pytest.raises(SourceError, match=r"would turn into themselves, by way of others: a, b, c$"):
        take_in(lake, tmp_path, "a,b,rename", "b,c,rename", "c,a,rename", "x,a,rename")
    assert on_record(lake) == []


def test_a_circle_with_what_is_on_record_is_an_error(lake, tmp_path):
    take_in(lake, tmp_path, "a,b,rename")
    with pytest.raises(SourceError, match=r"would turn into themselves, by way of others: a, b$"):
        take_in(lake, tmp_path, "b,a,rename")
    assert on_record(lake) == [("a", "b", "rename")]
