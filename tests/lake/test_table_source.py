import json
import tarfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pictures import lay

from lake.errors import SourceError
from lake.files import LISTING
from lake.files.archive import archive_files
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES, Batch
from lake.sources.table import TableSource

HERE = object()


def source(folder, table, photographs=(), image="image", species="species", files=HERE, **columns):
    """Lay a table and empty photographs beside it into a folder; ``files`` says where else they lie."""
    content = table.encode() if isinstance(table, str) else table
    lay(folder, {"photographs.csv": content, **dict.fromkeys(photographs, b"")})
    place = FolderFiles(folder) if files is HERE else files
    return TableSource(folder / "photographs.csv", place, image, species, **columns)


def frames(read):
    """Return the rows, species and files of a source."""
    batches = [Batch(), *read]
    return tuple(pl.concat([getattr(batch, part) for batch in batches]) for part in ("rows", "species", "files"))


def rows(folder, table, columns, **options):
    return frames(source(folder, table, **options))[0].select(columns.split()).rows()


def species(folder, table, columns="row_number species_id", **options):
    return frames(source(folder, table, **options))[1].select(columns.split()).rows()


def listed(folder, table, photographs, **options):
    return frames(source(folder, table, photographs, **options))[2]["file_name"].to_list()


def extra(folder, table, **options):
    return [text and json.loads(text) for (text,) in rows(folder, table, "extra", **options)]


def test_ids_keep_their_leading_zeros(tmp_path):
    table = "image,species,seen\na.jpg,007,0042\n"
    assert rows(tmp_path, table, "observation_id", observation_column="seen") == [("0042",)]
    assert species(tmp_path, table) == [(2, "007")]


@pytest.mark.parametrize("text", ["NA", "null", "nan", "1e5", "true", "HM 1954"])
def test_an_id_is_the_text_that_it_was(tmp_path, text):
    table = f"image,species\n{text},{text}\n"
    assert rows(tmp_path, table, "image_name") == [(text,)]
    assert species(tmp_path, table) == [(2, text)]


def test_a_row_is_numbered_by_the_line_where_it_begins(tmp_path):
    assert rows(tmp_path, 'image,species\n"a\n.jpg",1\n\nb.jpg,2\n', "row_number") == [(2,), (5,)]


@pytest.mark.parametrize("options", [{}, {"observation_column": "seen"}])
def test_a_row_without_an_observation_names_none(tmp_path, options):
    assert rows(tmp_path, "image,species,seen\na.jpg,1, \n", "observation_id", **options) == [(None,)]


def test_each_row_says_its_own_species(tmp_path):
    assert species(tmp_path, "image,species\na.jpg,2\na.jpg,1\n") == [(2, "2"), (3, "1")]


def test_a_row_without_a_species_and_a_table_without_the_column_label_nothing(tmp_path):
    assert species(tmp_path, "image,species\na.jpg, \n") == []
    assert species(tmp_path, "image,species\na.jpg,1\n", species=None) == []


def test_a_column_of_species_that_was_not_asked_for_is_kept_as_text(tmp_path):
    assert extra(tmp_path, "image,species\na.jpg,1\n", species=None) == [{"species": "1"}]


def test_the_species_of_a_quadrat_are_separated_and_so_are_their_names(tmp_path):
    table = "image,species,name\na.jpg,2; 1;,Poa trivialis;Poa annua\n"
    found = species(tmp_path, table, "species_id scientific_name", species_separator=";", name_column="name")
    assert found == [("2", "Poa trivialis"), ("1", "Poa annua")]


def test_names_that_are_not_as_many_as_the_species_name_none(tmp_path):
    table = "image,species,name\na.jpg,1;2,Poa annua\nb.jpg,1;2,\nc.jpg,1,Poa annua\n"
    found = species(tmp_path, table, "species_id scientific_name", species_separator=";", name_column="name")
    assert found == [("1", None), ("2", None), ("1", None), ("2", None), ("1", "Poa annua")]


def test_without_a_separator_a_species_id_may_hold_any_sign(tmp_path):
    table = "image,species,name\na.jpg, 1;2 , Poa; annua \n"
    assert species(tmp_path, table, "species_id scientific_name", name_column="name") == [("1;2", "Poa; annua")]


def test_genus_family_and_gbif_id_are_those_of_the_species(tmp_path):
    table = "image,species,genus,family,gbif_id\na.jpg,1,Poa, Poaceae ,007\nb.jpg,2,,,\n"
    found = species(tmp_path, table, "species_id genus family gbif_id is_venomous")
    assert found == [("1", "Poa", "Poaceae", "007", None), ("2", None, None, None, None)]
    assert extra(tmp_path, table) == [None, None]


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [("Train", "train"), (" TRAINING ", "train"), ("dev", "val"), ("valid", "val"), ("holdout", "test"), (" ", None)],
)
def test_a_split_is_understood_in_any_common_spelling_and_may_be_empty(tmp_path, spelt, meant):
    table = f"image,species,split\na.jpg,1,{spelt}\n"
    assert rows(tmp_path, table, "split_tag", split_column="split") == [(meant,)]


def test_an_unknown_spelling_of_a_split_is_an_error_that_lists_the_known(tmp_path):
    read = source(tmp_path, "image,species,split\na.jpg,1,train\nb.jpg,1,tset\n", split_column="split")
    with pytest.raises(SourceError, match=r"'split' of photographs.csv says 'tset' for a split; understood are"):
        next(iter(read))


@pytest.mark.parametrize("role", ["image", "species", "observation", "split", "name", "url"])
def test_an_unknown_column_is_an_error_that_names_its_neighbour(tmp_path, role):
    options = {role: "colum"} if role in ("image", "species") else {f"{role}_column": "colum"}
    with pytest.raises(
        SourceError, match=rf"no column 'colum' \(asked for as --{role}-column\); did you mean 'column'"
    ):
        frames(source(tmp_path, "image,species,column\na.jpg,1,o1\n", **options))


def test_an_unknown_column_without_neighbour_shows_all(tmp_path):
    with pytest.raises(SourceError, match=r"no column 'species' .*Its columns are image, label\."):
        frames(source(tmp_path, "image,label\na.jpg,1\n"))


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        list(TableSource(tmp_path / "none.csv", None, "image", "species"))


def test_a_root_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*none"):
        frames(source(tmp_path, "image,species\na.jpg,1\n", files=FolderFiles(tmp_path / "none")))


def test_a_mark_of_the_byte_order_and_windows_line_ends_are_no_part_of_a_name(tmp_path):
    table = "\ufeffimage,species\r\na.jpg,1\r\n"
    assert rows(tmp_path, table, "image_name extra") == [("a.jpg", None)]
    assert species(tmp_path, table) == [(2, "1")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_under_which_the_header_shows_the_image_column(tmp_path, delimiter):
    others = "".join(sign for sign in ",;\t|" if sign != delimiter)
    # parted by any other sign there would be more columns
    table = delimiter.join(["image", "species", f"{others * 3}\na.jpg", "1", "\n"])
    assert rows(tmp_path, table, "image_name") == [("a.jpg",)]


def test_a_delimiter_that_was_said_is_not_sought(tmp_path):
    table = "image,species#kind\na.jpg#1\n"
    assert rows(tmp_path, table, "image_name", image="image,species", species="kind", delimiter="#") == [("a.jpg",)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_a_table_is_read_in_its_encoding(tmp_path, encoding):
    table = "image,species\né.jpg,Hêtre\n".encode(encoding)
    assert rows(tmp_path, table, "image_name", encoding=encoding) == [("é.jpg",)]
    assert species(tmp_path, table, encoding=encoding) == [(2, "Hêtre")]


@pytest.mark.parametrize(("written", "said"), [("latin-1", "utf-8"), ("utf-16", "utf-8"), ("utf-8", "utf-16")])
def test_a_table_in_another_encoding_is_an_error_that_names_the_option(tmp_path, written, said):
    with pytest.raises(SourceError, match=rf"photographs.csv is no {said} text after line \d.*say --encoding"):
        frames(source(tmp_path, "image,species\né.jpg,1\n".encode(written), encoding=said))


def test_a_row_of_another_number_of_fields_is_set_aside_and_the_others_are_read(tmp_path):
    table = "image,species\na.jpg,1,2\nb.jpg,1\nc.jpg\n"
    assert rows(tmp_path, table, "row_number image_name kind detail") == [
        (2, None, "row_malformed", "line 2 has 3 fields, the header has 2"),
        (4, None, "row_malformed", "line 4 has 1 fields, the header has 2"),
        (3, "b.jpg", None, None),
    ]
    assert species(tmp_path, table) == [(3, "1")]


@pytest.mark.parametrize("name", ["", " "])
@pytest.mark.parametrize("files", [HERE, None])
def test_a_row_without_a_name_names_no_photograph(tmp_path, name, files):
    table = f"image,species,place\n{name},1,https://x/a\n"
    found = rows(tmp_path, table, "image_name file_name", files=files, url_column="place")
    assert found == [(None, None)]


@pytest.mark.parametrize("written", ["./x/a.jpg", "x//a.jpg", "x\\a.jpg", ".\\x\\a.jpg", "x/./a.jpg", " ./x/a.jpg "])
@pytest.mark.parametrize("files", [HERE, None])
def test_a_photograph_is_one_however_its_path_is_written(tmp_path, written, files):
    found = rows(tmp_path, f"image,species,place\n{written},1,\n", "image_name", files=files, url_column="place")
    assert found == [("x/a.jpg",)]


def test_a_name_is_one_however_its_accents_are_written(tmp_path):
    assert rows(tmp_path, "image,species\ne\u0301.jpg,1\n", "image_name file_name") == [("é.jpg", "é.jpg")]


def test_a_name_from_the_root_of_the_system_is_made_relative(tmp_path):
    found = rows(tmp_path, f"image,species\n{tmp_path}/x/a.jpg,1\n", "image_name file_name kind")
    assert found == [("x/a.jpg", "x/a.jpg", None)]


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "x/../a.jpg", "x/..", "..", "C:\\x\\a.jpg", "d:/a.jpg"])
def test_a_name_that_leads_out_of_the_root_is_set_aside(tmp_path, name):
    ((kind, detail),) = rows(tmp_path, f"image,species\n{name},1\n", "kind detail")
    assert (kind, "--root says where they lie" in detail) == ("outside_root", True)


def test_a_name_beside_the_root_is_not_inside(tmp_path):
    found = rows(tmp_path, f"image,species\n{tmp_path}-2/a.jpg,1\n", "image_name kind")
    assert found == [(f"{tmp_path}-2/a.jpg", "outside_root")]


@pytest.mark.parametrize("name", ["x/..a.jpg", "a...jpg", "C:a.jpg", "ab:/c.jpg"])
def test_dots_and_colons_inside_a_name_lead_nowhere(tmp_path, name):
    assert rows(tmp_path, f"image,species\n{name},1\n", "image_name kind") == [(name, None)]


def test_where_names_are_unique_the_folders_of_another_machine_do_not_matter(tmp_path):
    table = "image,species\nC:\\x\\a.jpg,1\n"
    assert rows(tmp_path, table, "file_name kind", names_are_unique=True) == [("C:/x/a.jpg", None)]


def test_a_table_answers_for_the_outermost_folders_that_its_rows_name(tmp_path):
    photographs = ["x/a.jpg", "x/y/b.PNG", "others/c.jpg", "d.jpg"]
    assert listed(tmp_path, "image,species\nx/a.jpg,1\n", photographs) == ["x/a.jpg", "x/y/b.PNG"]
    assert listed(tmp_path, "image,species\nd.jpg,1\n", photographs) == ["d.jpg", "photographs.csv"]


def test_where_names_are_unique_photographs_are_sought_everywhere(tmp_path):
    found = listed(tmp_path, "image,species\na.jpg,1\n", ["x/a.jpg", "y/b.jpg"], names_are_unique=True)
    assert found == ["photographs.csv", "x/a.jpg", "y/b.jpg"]


def test_a_table_without_rows_answers_for_no_file(tmp_path):
    assert listed(tmp_path, "image,species\n", ["a.jpg", "x/a.jpg"]) == []


def test_photographs_may_lie_in_an_archive(tmp_path):
    lay(tmp_path / "in", {"x/a.jpg": b"", "y/b.jpg": b""})
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        archive.add(tmp_path / "in", "")
    files = archive_files(tmp_path / "p.tar")
    assert listed(tmp_path, "image,species\nx/a.jpg,1\n", [], files=files) == ["x/a.jpg"]


def test_the_address_of_a_photograph_stands_beside_its_name(tmp_path):
    table = "image,species,place\na.jpg,1, https://x/a.jpg \nb.jpg,1,\n"
    found = rows(tmp_path, table, "image_name file_name url", url_column="place")
    assert found == [("a.jpg", "a.jpg", "https://x/a.jpg"), ("b.jpg", "b.jpg", None)]


def test_without_files_no_row_names_one(tmp_path):
    table = "image,species,place\n../a.jpg,1,https://x/a.jpg\n"
    found = rows(tmp_path, table, "image_name file_name url kind", files=None, url_column="place")
    assert found == [("../a.jpg", None, "https://x/a.jpg", None)]


@pytest.mark.parametrize("files", [HERE, None])
def test_without_an_image_column_the_address_names_the_photograph(tmp_path, files):
    table = "species,place\n1,https://x/a.jpg?size=1\n1, \n"
    options = {"image": None, "url_column": "place", "files": files}
    found = rows(tmp_path, table, "image_name file_name url", **options)
    assert found == [("https://x/a.jpg?size=1", None, "https://x/a.jpg?size=1"), (None, None, None)]
    assert listed(tmp_path, table, ["a.jpg"], **options) == []


def test_known_columns_are_taken_over_and_all_others_kept(tmp_path):
    said = {
        **{"organ": "leaf", "country_code": "FR", "base_quadrat": "q", "transect": "t", "license": "CC0"},
        **{"author": "Me", "latitude": "43.6", "longitude": "-3.9", "observed_on": "2024-05-01", "colour": "green"},
        **{"empty": ""},
    }
    table = f"image,species,{','.join(said)}\na.jpg,1,{','.join(said.values())}\n"
    columns = "organ country_code base_quadrat transect license author latitude longitude observed_on"
    found = rows(tmp_path, table, columns)
    assert found == [("leaf", "FR", "q", "t", "CC0", "Me", 43.6, -3.9, date(2024, 5, 1))]
    assert extra(tmp_path, table) == [{"colour": "green"}]


def test_columns_that_were_asked_for_are_not_kept_twice(tmp_path):
    table = "image,species,seen,split,name,place\na.jpg,1,o1,val,Poa,https://x\n"
    roles = {"observation_column": "seen", "split_column": "split", "name_column": "name", "url_column": "place"}
    assert extra(tmp_path, table, **roles) == [None]


@pytest.mark.parametrize("value", ["north", "nan", "inf", "-Infinity", "90.5"])
def test_a_latitude_that_is_none_is_kept_as_text(tmp_path, value):
    table = f"image,species,latitude\na.jpg,1,{value}\n"
    assert rows(tmp_path, table, "latitude") == [(None,)]
    assert extra(tmp_path, table) == [{"latitude": value}]


def test_a_longitude_may_be_twice_as_large(tmp_path):
    table = "image,species,longitude\na.jpg,1,-180\nb.jpg,1,180.5\n"
    assert rows(tmp_path, table, "longitude") == [(-180.0,), (None,)]
    assert extra(tmp_path, table) == [None, {"longitude": "180.5"}]


@pytest.mark.parametrize(("value", "day"), [("May 2024", None), ("2024-05-01T10:00", date(2024, 5, 1))])
def test_what_is_said_of_a_day_beyond_or_instead_of_it_is_kept_as_text(tmp_path, value, day):
    table = f"image,species,observed_on\na.jpg,1,{value}\n"
    assert rows(tmp_path, table, "observed_on") == [(day,)]
    assert extra(tmp_path, table) == [{"observed_on": value}]


def test_columns_may_be_called_like_those_of_the_staged_rows(tmp_path):
    table = "row_number,image_name,file_name,kind,extra,image,species\n7,n,f,k,e,a.jpg,1\n"
    assert rows(tmp_path, table, "row_number image_name file_name kind") == [(2, "a.jpg", "a.jpg", None)]
    assert extra(tmp_path, table) == [
        {"row number": "7", "image_name": "n", "file_name": "f", "kind": "k", "extra": "e"}
    ]


def test_its_frames_are_as_agreed(tmp_path):
    found = frames(source(tmp_path, "image,species\na.jpg,1\nb\n", ["a.jpg"]))
    assert [frame.schema for frame in found] == [ROWS, SPECIES, LISTING]
    assert all(len(frame) for frame in found)


def test_a_second_look_gives_the_same_in_the_same_order(tmp_path):
    read = source(tmp_path, "image,species\n3.jpg,1\n1.jpg,2\n", [f"{number}.jpg" for number in range(9)])
    assert all(one.equals(other) for one, other in zip(frames(read), frames(read), strict=True))


signs = st.text(st.sampled_from('a1.jpg,;"\n\r\\/ \0é\t'), max_size=12) | st.text(max_size=8)
lines = st.lists(st.lists(signs, min_size=1, max_size=4).map(",".join), max_size=6).map("\n".join)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | lines.map(lambda text: ("image,species,split\n" + text).encode("utf-8", "replace")))
def test_whatever_a_table_holds_it_gives_rows_or_an_error_of_the_source(tmp_path, content):
    (tmp_path / "x").mkdir(exist_ok=True)
    try:
        found, named, _ = frames(source(tmp_path, content, files=FolderFiles(tmp_path / "x"), split_column="split"))
    except SourceError:
        return
    assert found["row_number"].is_unique().all()
    assert set(named["row_number"]) <= set(found["row_number"])
    assert not any(
        Path(name).is_absolute() for name in found.filter(pl.col("kind").is_null())["file_name"].drop_nulls()
    )
