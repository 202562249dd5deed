from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pictures import lay

from lake.errors import SourceError
from lake.sources import SourceIssue, SourceRecord
from lake.sources.table import TableSource


def source(folder, table, photographs=("a.jpg",), **columns):
    """Lay a table and empty photographs into a folder; a table without a species column gets one."""
    lay(folder, {"photographs.csv": table.encode(), **dict.fromkeys(photographs, b"")})
    return TableSource(folder / "photographs.csv", "image", "species", **columns)


def records(*arguments, **columns):
    return {item.image_name: item for item in source(*arguments, **columns) if isinstance(item, SourceRecord)}


def issues(*arguments, **columns):
    return [(item.image_name, item.kind) for item in source(*arguments, **columns) if isinstance(item, SourceIssue)]


def ids(record):
    return [species.species_id for species in record.species]


def test_ids_keep_their_leading_zeros(tmp_path):
    found = records(tmp_path, "image,species,seen\na.jpg,007,0042\n", observation_column="seen")
    assert (ids(found["a.jpg"]), found["a.jpg"].observation_id) == (["007"], "0042")


@pytest.mark.parametrize("text", ["NA", "null", "1e5", "true", "HM 1954"])
def test_an_id_is_the_text_that_it_was(tmp_path, text):
    assert ids(records(tmp_path, f"image,species\na.jpg,{text}\n")["a.jpg"]) == [text]


def test_without_an_observation_column_each_photograph_is_one(tmp_path):
    found = records(tmp_path, "image,species\na.jpg,1\nb.jpg,1\n", ["a.jpg", "b.jpg"])
    assert [record.observation_id for record in found.values()] == ["a.jpg", "b.jpg"]


def test_without_an_observation_of_its_own_a_photograph_is_one(tmp_path):
    found = records(tmp_path, "image,species,seen\na.jpg,1,\n", observation_column="seen")
    assert found["a.jpg"].observation_id == "a.jpg"


def test_an_observation_has_the_species_of_all_its_rows(tmp_path):
    table = "image,species,seen\na.jpg,2,o1\nb.jpg,1,o1\nc.jpg,,o1\nd.jpg,3,o2\n"
    found = records(tmp_path, table, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], observation_column="seen")
    assert [ids(record) for record in found.values()] == [["1", "2"], ["1", "2"], ["1", "2"], ["3"]]


def test_a_photograph_in_several_rows_has_the_species_of_each(tmp_path):
    table = "image,species\na.jpg,1\na.jpg,2\n"
    assert ids(records(tmp_path, table)["a.jpg"]) == ["1", "2"]


def test_a_row_without_a_species_is_not_labelled(tmp_path):
    assert records(tmp_path, "image,species\na.jpg, \n")["a.jpg"].species == ()


def test_the_species_of_a_quadrat_are_separated_and_so_are_their_names(tmp_path):
    table = "image,species,name\na.jpg,2; 1;,Poa trivialis;Poa annua\n"
    found = records(tmp_path, table, species_separator=";", name_column="name")
    named = [(species.species_id, species.scientific_name) for species in found["a.jpg"].species]
    assert named == [("1", "Poa annua"), ("2", "Poa trivialis")]


def test_names_that_are_not_as_many_as_the_species_name_none(tmp_path):
    table = "image,species,name\na.jpg,1;2,Poa annua\n"
    found = records(tmp_path, table, species_separator=";", name_column="name")
    assert [species.scientific_name for species in found["a.jpg"].species] == ["1", "2"]


def test_without_a_separator_a_species_id_may_hold_any_sign(tmp_path):
    assert ids(records(tmp_path, "image,species\na.jpg,1;2\n")["a.jpg"]) == ["1;2"]


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [("Train", "train"), (" TRAINING ", "train"), ("dev", "val"), ("valid", "val"), ("holdout", "test")],
)
def test_a_split_is_understood_in_any_common_spelling(tmp_path, spelt, meant):
    found = records(tmp_path, f"image,species,split\na.jpg,1,{spelt}\n", split_column="split")
    assert found["a.jpg"].split_tag == meant


def test_a_photograph_may_have_no_split(tmp_path):
    assert records(tmp_path, "image,species,split\na.jpg,1, \n", split_column="split")["a.jpg"].split_tag is None


def test_an_unknown_spelling_of_a_split_is_an_error_and_nothing_is_read(tmp_path):
    read = source(tmp_path, "image,species,split\na.jpg,1,train\nb.jpg,1,tset\n", split_column="split")
    with pytest.raises(SourceError, match=r"'split' of photographs.csv says 'tset' for a split; understood are"):
        next(iter(read))


def test_an_unknown_column_is_an_error_that_names_its_neighbour(tmp_path):
    with pytest.raises(
        SourceError,
        match=r"no column 'observation' \(asked for as --observation-column\); did you mean 'observation_id'",
    ):
        records(tmp_path, "image,species,observation_id\na.jpg,1,o1\n", observation_column="observation")


def test_an_unknown_column_without_neighbour_shows_all(tmp_path):
    with pytest.raises(SourceError, match=r"no column 'species' .* Its columns are image, label\."):
        records(tmp_path, "image,label\na.jpg,1\n")


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        list(TableSource(tmp_path / "none.csv", "image", "species"))


@pytest.mark.parametrize(
    "content",
    [b"", "image,species\n\xe9.jpg,1\n".encode("latin-1"), b"image,species\na.jpg,1,2\n", b'image,species\n"a,1\n'],
)
def test_a_file_that_is_no_table_is_an_error_that_names_it(tmp_path, content):
    lay(tmp_path, {"photographs.csv": content})
    with pytest.raises(SourceError, match=r"photographs\.csv cannot be read as a CSV table"):
        list(TableSource(tmp_path / "photographs.csv", "image", "species"))


def test_a_mark_of_the_byte_order_and_windows_line_ends_are_no_part_of_a_name(tmp_path):
    assert list(records(tmp_path, "\ufeffimage,species\r\na.jpg,1\r\n")) == ["a.jpg"]


def test_a_row_without_a_file_is_an_issue(tmp_path):
    assert issues(tmp_path, "image,species\na.jpg,1\nb.jpg,1\n") == [("b.jpg", "row_without_file")]


def test_a_file_without_a_row_is_an_issue(tmp_path):
    found = issues(tmp_path, "image,species\nx/a.jpg,1\n", ["x/a.jpg", "x/b.PNG", "x/y/c.jpg"])
    assert found == [("x/b.PNG", "file_without_row"), ("x/y/c.jpg", "file_without_row")]


def test_a_table_answers_for_the_outermost_folders_that_its_rows_name(tmp_path):
    photographs = ["x/a.jpg", "others/b.jpg", "c.jpg"]
    assert issues(tmp_path, "image,species\nx/a.jpg,1\n", photographs) == []
    assert issues(tmp_path, "image,species\na.jpg,1\n", photographs) == [
        ("a.jpg", "row_without_file"),
        ("c.jpg", "file_without_row"),
    ]


def test_a_root_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*none"):
        issues(tmp_path, "image,species\na.jpg,1\n", root=tmp_path / "none")


def test_other_files_and_hidden_ones_need_no_row(tmp_path):
    assert issues(tmp_path, "image,species\na.jpg,1\n", ["a.jpg", "notes.txt", ".a.jpg"]) == []


def test_a_row_without_a_name_is_an_issue(tmp_path):
    assert issues(tmp_path, "image,species\na.jpg,1\n ,1\n") == [("row 3", "row_without_name")]


def test_a_name_that_comes_again_is_an_issue(tmp_path):
    assert issues(tmp_path, "image,species\na.jpg,1\na.jpg,1\n") == [("a.jpg", "duplicate_name")]


@pytest.mark.parametrize("written", ["./x/a.jpg", "x//a.jpg", "x\\a.jpg", ".\\x\\a.jpg"])
def test_a_photograph_is_one_however_its_path_is_written(tmp_path, written):
    found = list(source(tmp_path, f"image,species\n{written},1\n", ["x/a.jpg"]))
    assert [(item.image_name, item.observation_id, ids(item)) for item in found] == [("x/a.jpg", "x/a.jpg", ["1"])]


def test_a_path_that_leads_out_and_in_again_or_begins_at_the_top_names_its_file(tmp_path):
    table = f"image,species\nx/../y/a.jpg,1\n{tmp_path}/y/b.jpg,1\ny/c.jpg,1\n"
    assert issues(tmp_path, table, ["y/a.jpg", "y/b.jpg", "y/c.jpg", "x/d.txt"]) == []


def test_a_name_that_is_longer_than_any_file_name_is_a_row_without_file(tmp_path):
    for name in ("a" * 5000 + ".jpg", "a" * 5000 + "/b.jpg"):
        assert issues(tmp_path, f"image,species\n{name},1\n", []) == [(name, "row_without_file")]


def test_paths_begin_at_the_root(tmp_path):
    lay(tmp_path, {"photographs/a.jpg": b""})
    found = records(tmp_path, "image,species\na.jpg,1\n", (), root=tmp_path / "photographs")
    assert found["a.jpg"].path == tmp_path / "photographs" / "a.jpg"


def test_known_columns_are_taken_over_and_all_others_kept(tmp_path):
    table = (
        "image,species,organ,country_code,license,author,latitude,longitude,observed_on,colour,empty\n"
        "a.jpg,1,leaf,FR,CC0,Me,43.6,-3.9,2024-05-01,green,\n"
    )
    record = records(tmp_path, table)["a.jpg"]
    assert (record.organ, record.country_code, record.license, record.author) == ("leaf", "FR", "CC0", "Me")
    assert (record.latitude, record.longitude, record.observed_on) == (43.6, -3.9, date(2024, 5, 1))
    assert record.extra == {"colour": "green"}


@pytest.mark.parametrize("value", ["north", "nan", "inf", "-Infinity"])
def test_a_latitude_that_is_no_number_is_kept_as_text(tmp_path, value):
    record = records(tmp_path, f"image,species,latitude\na.jpg,1,{value}\n")["a.jpg"]
    assert (record.latitude, record.extra) == (None, {"latitude": value})


def test_a_day_that_is_none_is_kept_as_text(tmp_path):
    record = records(tmp_path, "image,species,observed_on\na.jpg,1,May 2024\n")["a.jpg"]
    assert (record.observed_on, record.extra) == (None, {"observed_on": "May 2024"})


def test_a_second_look_gives_the_same_in_the_same_order(tmp_path):
    photographs = [f"{number}.jpg" for number in range(9)]
    read = source(tmp_path, "image,species\n3.jpg,1\n1.jpg,2\n", photographs)
    assert list(read) == list(read)


signs = st.text(st.sampled_from('a1.jpg,;"\n\r\\/ \0é\t'), max_size=12) | st.text(max_size=8)
lines = st.lists(st.lists(signs, min_size=1, max_size=4).map(",".join), max_size=6).map("\n".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | lines.map(lambda text: ("image,species,split\n" + text).encode("utf-8", "replace")))
def test_whatever_a_table_holds_it_gives_records_and_issues_or_an_error_of_the_source(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "any-table"
    lay(folder, {"photographs.csv": content, "a.jpg": b""})
    try:
        items = list(TableSource(folder / "photographs.csv", "image", "species", split_column="split"))
    except SourceError:
        return
    names = [item.image_name for item in items if isinstance(item, SourceRecord)]
    assert len(names) == len(set(names))
    assert all(item.path.is_file() for item in items if isinstance(item, SourceRecord))
