import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import lay
from source_tables import CELLS, said, said_first, write_table

from lake.errors import SourceError
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES, Batch
from lake.sources.snakeclef import SnakeClefSource

COLUMNS = ["observation_id", "endemic", "binomial_name", "code", "image_path", "class_id", "subset"]


def write(folder, *rows, columns=COLUMNS):
    return write_table(folder / "metadata.csv", columns, rows)


def row(folder, **cells):
    return said_first(SnakeClefSource(write(folder, {"class_id": "1", **cells}), None))


def status(folder, text):
    (folder / "venomous.csv").write_text(text)
    return said(SnakeClefSource(write(folder), None, folder / "venomous.csv"))[1]


def test_a_column_goes_to_its_place_and_the_rest_to_extra(tmp_path):
    cells = {"observation_id": "HM 1954", "binomial_name": "Bitis arietans", "image_path": "HMP/B/1.jpg", "code": "ZA"}
    rows, species = row(tmp_path, **cells, subset="train-hm", endemic="False", class_id="012")
    assert {name: value for name, value in rows.items() if value is not None} == {
        "row_number": 2,
        "image_name": "HMP/B/1.jpg",
        "file_name": "HMP/B/1.jpg",
        "observation_id": "HM 1954",
        "country_code": "ZA",
        "split_tag": "train",
        "extra": '{"endemic":"False"}',
    }
    assert {name: value for name, value in species.items() if value is not None} == {
        "row_number": 2,
        "species_id": "012",
        "scientific_name": "Bitis arietans",
        "genus": "Bitis",
    }


@pytest.mark.parametrize("code", ["NA", "unknown"])
def test_a_country_code_is_the_text_that_it_was(tmp_path, code):
    assert row(tmp_path, code=code)[0]["country_code"] == code


@pytest.mark.parametrize(
    ("subset", "split"), [("train", "train"), ("train-hm", "train"), ("val", "val"), ("test", "test"), ("", None)]
)
def test_a_subset_is_a_split(tmp_path, subset, split):
    assert row(tmp_path, subset=subset)[0]["split_tag"] == split


def test_an_unknown_subset_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"'subset' of metadata.csv says 'extra'"):
        row(tmp_path, subset="extra")


def test_paths_are_read_in_one_spelling(tmp_path):
    rows, _ = row(tmp_path, image_path=r" .\2009\\Bothrops_bilineatus/1.jpg ")
    assert (rows["image_name"], rows["file_name"]) == ("2009/Bothrops_bilineatus/1.jpg",) * 2


def test_a_row_without_a_path_names_no_photograph(tmp_path):
    rows, _ = row(tmp_path, image_path=" ")
    assert (rows["image_name"], rows["file_name"]) == (None, None)


def test_a_row_of_another_width_is_malformed_and_the_others_are_read(tmp_path):
    path = write(tmp_path, {"image_path": "1.jpg"})
    path.write_text(path.read_text() + "HM 1,True\n")
    rows, _ = said(SnakeClefSource(path, None))
    assert rows.sort("row_number").select("row_number", "image_name", "kind").rows() == [
        (2, "1.jpg", None),
        (3, None, "row_malformed"),
    ]


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(
        SourceError, match=r"metadata.csv has no column 'class_id'.*parted by ',', are observation_id, code"
    ):
        list(
            SnakeClefSource(
                write(tmp_path, columns=["observation_id", "code", "image_path", "binomial_name", "subset"]), None
            )
        )


def listed(folder, *names, **options):
    files = FolderFiles(lay(folder / "photographs", {"2009/a.jpg": b"", "HMP/b.jpg": b"", "c.jpg": b""}))
    source = SnakeClefSource(write(folder, *({"image_path": name} for name in names)), files, **options)
    return sorted(pl.concat([Batch().files, *(batch.files for batch in source)])["file_name"])


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["2009/x.jpg"], ["2009/a.jpg"]),
        (["HMP/Bitis_arietans/x.jpg", ""], ["HMP/b.jpg"]),
        (["x.jpg", "2009/x.jpg"], ["2009/a.jpg", "c.jpg"]),
        ([], []),
    ],
)
def test_files_are_listed_where_the_rows_say_that_photographs_lie(tmp_path, names, files):
    assert listed(tmp_path, *names) == files


def test_where_names_are_unique_all_files_are_listed(tmp_path):
    assert listed(tmp_path, "2009/x.jpg", names_are_unique=True) == ["2009/a.jpg", "HMP/b.jpg", "c.jpg"]


def test_the_list_says_of_every_species_whether_it_is_venomous(tmp_path):
    found = status(tmp_path, "class_id,MIVS\n007,1\n8,0\n")
    assert found.schema == SPECIES
    assert found.select("row_number", "species_id", "is_venomous").rows() == [(None, "007", True), (None, "8", False)]


@pytest.mark.parametrize("line", ["8,2", "8,", ",1", "8,True"])
def test_a_species_that_is_neither_venomous_nor_harmless_is_refused(tmp_path, line):
    with pytest.raises(SourceError, match=r"venomous.csv, line 3: class_id is .* and MIVS is"):
        status(tmp_path, f"class_id,MIVS\n7,1\n{line}\n")


def test_a_malformed_line_of_the_list_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"venomous.csv, line 2 has 3 fields"):
        status(tmp_path, "class_id,MIVS\n7,1,1\n")


@settings(max_examples=50, deadline=None)
@given(written=st.lists(st.fixed_dictionaries({"endemic": CELLS, "image_path": CELLS, "code": CELLS}), max_size=5))
def test_the_rows_read_are_the_rows_written(tmp_path_factory, written):
    rows, _ = said(SnakeClefSource(write(tmp_path_factory.mktemp("table"), *written), None))
    assert rows.schema == ROWS
    read = [json.loads(extra)["endemic"] if extra else "" for extra in rows["extra"]]
    assert (read, rows["kind"].null_count()) == ([cells["endemic"] for cells in written], len(written))


@pytest.fixture
def metadata(shared):
    folder = shared / "snakeclef-metadata"
    if not folder.is_dir():
        pytest.skip(f"the tables of SnakeCLEF are not here: {folder}")
    return folder


def test_the_table_of_herpmapper_is_read_whole(metadata):
    rows, species = said(SnakeClefSource(metadata / "TrainMetadata-HM.csv", None))
    assert (rows.height, rows["observation_id"].n_unique(), species["species_id"].n_unique()) == (13_843, 9_745, 889)
    assert rows["observation_id"].str.starts_with("HM ").all()
    assert set(rows["split_tag"]) == {"train"}
    assert rows["kind"].null_count() == rows.height
    assert (rows["country_code"] == "NA").sum() == 59


def test_the_table_of_validation_is_read_whole(metadata):
    rows, species = said(SnakeClefSource(metadata / "ValMetadata.csv", None))
    assert (rows.height, rows["observation_id"].n_unique(), species["species_id"].n_unique()) == (14_117, 7_816, 1_599)
    extensions = rows["image_name"].str.extract(r"\.([^.]+)$").value_counts()
    assert dict(extensions.iter_rows()) == {"jpeg": 7_537, "jpg": 6_311, "JPG": 179, "png": 89, "PNG": 1}
    assert (rows["country_code"] == "unknown").sum() == 725
    assert set(rows["split_tag"]) == {"val"}
    assert rows["extra"].str.json_path_match("$.endemic").value_counts().sort("count")["count"].to_list() == [
        2_155,
        11_962,
    ]


def test_a_sixth_of_the_species_is_venomous(metadata):
    source = SnakeClefSource(metadata / "ValMetadata.csv", None, metadata / "venomous_status_list.csv")
    _, species = said(source)
    of_list = species.filter(pl.col("row_number").is_null())
    assert (of_list.height, of_list["is_venomous"].sum(), of_list["is_venomous"].null_count()) == (1_784, 285, 0)
