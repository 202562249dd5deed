import json
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import lay
from source_tables import CELLS, said, said_first, write_table

from lake.errors import SourceError
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES
from lake.sources.inaturalist import INaturalistSource

COLUMNS = ["id", "observed_on", "license", "url", "image_url", "description", "latitude", "longitude", "user_login"]
COLUMNS += ["user_name", "quality_grade", "scientific_name", "taxon_id"]


def write(folder, *rows, columns=COLUMNS):
    return write_table(folder / "observations.csv", columns, rows)


def row(folder, **cells):
    return said_first(INaturalistSource(write(folder, {"taxon_id": "1", **cells}), None))


def test_a_column_goes_to_its_place_and_the_rest_to_extra(tmp_path):
    rows, species = row(
        tmp_path,
        id="0042",
        observed_on="2012-05-30",
        license="CC-BY",
        url="http://www.inaturalist.org/observations/42",
        image_url="https://static.inaturalist.org/photos/129275/medium.jpeg?1338",
        description="on a heath,\nin May",
        latitude="50.9",
        longitude="-2",
        user_login="kogia",
        user_name="Ko Gia",
        quality_grade="research",
        scientific_name="Coronella austriaca",
        taxon_id="026904",
    )
    assert json.loads(rows.pop("extra")) == {
        "description": "on a heath,\nin May",
        "quality_grade": "research",
        "url": "http://www.inaturalist.org/observations/42",
        "user_login": "kogia",
    }
    assert {name: value for name, value in rows.items() if value is not None} == {
        "row_number": 2,
        "image_name": "photos/129275/medium.jpeg",
        "file_name": "129275.jpeg",
        "url": "https://static.inaturalist.org/photos/129275/medium.jpeg?1338",
        "observation_id": "0042",
        "latitude": 50.9,
        "longitude": -2.0,
        "observed_on": date(2012, 5, 30),
        "license": "CC-BY",
        "author": "Ko Gia",
    }
    assert {name: value for name, value in species.items() if value is not None} == {
        "row_number": 2,
        "species_id": "026904",
        "scientific_name": "Coronella austriaca",
        "genus": "Coronella",
    }


@pytest.mark.parametrize(
    ("address", "image_name", "file_name"),
    [
        ("https://h/photos/7/original.JPG", "photos/7/original.JPG", "7.JPG"),
        ("http://h//mirror/photos/7/square.png#x", "mirror/photos/7/square.png", "7.png"),
        ("https://h/photos/7/medium", "photos/7/medium", "7"),
        ("https://h/other/viper.jpg", "other/viper.jpg", "viper.jpg"),
        ("https://h/", None, None),
        ("", None, None),
    ],
)
def test_an_address_tells_the_name_and_the_file(tmp_path, address, image_name, file_name):
    found, _ = row(tmp_path, image_url=address)
    assert (found["image_name"], found["file_name"]) == (image_name, file_name)


def test_what_is_no_address_is_kept_as_text(tmp_path):
    found, _ = row(tmp_path, image_url="ask me")
    assert (found["image_name"], found["url"], json.loads(found["extra"])) == (None, None, {"image_url": "ask me"})


def test_who_gives_no_name_is_credited_by_the_login(tmp_path):
    assert row(tmp_path, user_login="kogia")[0]["author"] == "kogia"


@pytest.mark.parametrize(
    ("name", "genus"),
    [
        ("Vipera berus", "Vipera"),
        ("Vipera berus berus", "Vipera"),
        ("Mentha × piperita", "Mentha"),
        ("× Chitalpa tashkentensis", "Chitalpa"),
        ("×Chitalpa tashkentensis", "Chitalpa"),
        ("Xenochrophis piscator", "Xenochrophis"),
        ("Viperidae", None),
        ("", None),
    ],
)
def test_a_genus_is_the_first_of_several_words(tmp_path, name, genus):
    assert row(tmp_path, scientific_name=name)[1]["genus"] == genus


def test_what_is_no_day_or_place_is_kept_as_text(tmp_path):
    found, _ = row(tmp_path, observed_on="in May", latitude="91", longitude="west")
    assert (found["observed_on"], found["latitude"], found["longitude"]) == (None, None, None)
    assert json.loads(found["extra"]) == {"observed_on": "in May", "latitude": "91", "longitude": "west"}


def test_an_export_of_few_columns_is_read(tmp_path):
    cells = {
        "id": "1",
        "image_url": "https://h/photos/7/medium.jpg",
        "scientific_name": "Vipera berus",
        "taxon_id": "9",
    }
    rows, species = said(INaturalistSource(write(tmp_path, cells, columns=list(cells)), None))
    assert (rows["observation_id"].item(), rows["extra"].item(), species["species_id"].item()) == ("1", None, "9")
    assert (rows.schema, species.schema) == (ROWS, SPECIES)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"no column 'taxon_id'; the nearest is 'taxon'"):
        list(INaturalistSource(write(tmp_path, columns=["id", "image_url", "scientific_name", "taxon"]), None))


def test_a_row_of_another_width_is_malformed_and_the_others_are_read(tmp_path):
    path = write(tmp_path, {"id": "1"})
    path.write_text(path.read_text() + "2,2012-05-30\n")
    rows, _ = said(INaturalistSource(path, None))
    assert rows.sort("row_number").select("row_number", "observation_id", "kind").rows() == [
        (2, "1", None),
        (3, None, "row_malformed"),
    ]


def test_all_files_are_listed_wherever_they_lie(tmp_path):
    files = FolderFiles(lay(tmp_path / "downloads", {"vipers/7.jpg": b"", "8.jpg": b""}))
    source = INaturalistSource(write(tmp_path, {"image_url": "https://h/photos/7/medium.jpg"}), files)
    listed = pl.concat([batch.files for batch in source])["file_name"]
    assert (sorted(listed), source.names_are_unique) == (["8.jpg", "vipers/7.jpg"], True)


@settings(max_examples=50, deadline=None)
@given(written=st.lists(st.fixed_dictionaries({"description": CELLS, "quality_grade": CELLS, "id": CELLS}), max_size=5))
def test_the_rows_read_are_the_rows_written(tmp_path_factory, written):
    rows, _ = said(INaturalistSource(write(tmp_path_factory.mktemp("table"), *written), None))
    read = [json.loads(extra) if extra else {} for extra in rows["extra"]]
    kept = [{name: cell for name, cell in cells.items() if cell and name != "id"} for cells in written]
    assert (read, rows["kind"].null_count()) == (kept, len(written))


def test_an_export_is_read_whole(shared):
    path = shared / "snake-observations-europe" / "observations.csv"
    if not path.is_file():
        pytest.skip(f"the observations of snakes are not here: {path}")
    rows, species = said(INaturalistSource(path, None))
    assert (rows.height, rows["kind"].null_count()) == (2_027, 2_027)
    assert (rows["observation_id"].n_unique(), rows["image_name"].n_unique(), rows["file_name"].n_unique()) == (
        2_027,
    ) * 3
    # Subspecies have taxa of their own.
    assert (species["scientific_name"].n_unique(), species["species_id"].n_unique()) == (9, 28)
    assert rows["latitude"].null_count() == 10
    assert rows["observed_on"].null_count() == 0
    assert set(rows["url"].str.extract("^(https://)")) == {"https://"}
