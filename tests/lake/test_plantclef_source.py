import json
from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import lay
from source_tables import CELLS, said, said_first, write_table

from lake.errors import SourceError
from lake.files import LISTING
from lake.files.folder import FolderFiles
from lake.sources import ROWS, SPECIES
from lake.sources.plantclef import PlantClefQuadrats, PlantClefSource

COLUMNS = ["image_name", "organ", "species_id", "obs_id", "license", "partner", "author", "altitude", "latitude"]
COLUMNS += ["longitude", "gbif_species_id", "species", "genus", "family", "dataset", "publisher", "references", "url"]
COLUMNS += ["learn_tag", "image_backup_url"]


def write(folder, *rows, columns=COLUMNS):
    return write_table(folder / "training.csv", columns, rows, ";")


def row(folder, **cells):
    return said_first(PlantClefSource(write(folder, {"image_name": "a.jpg", "species_id": "1", **cells}), None))


def test_a_column_goes_to_its_place_and_the_rest_to_extra(tmp_path):
    cells = {column: f"a {column}" for column in COLUMNS} | {"latitude": "45.5", "longitude": "-1", "learn_tag": "val"}
    rows, species = row(tmp_path, **cells)
    extra = json.loads(rows.pop("extra"))
    assert {name: value for name, value in rows.items() if value is not None} == {
        "row_number": 2,
        "image_name": "a image_name",
        "file_name": "a image_name",
        "url": "a url",
        "observation_id": "a obs_id",
        "split_tag": "val",
        "organ": "a organ",
        "latitude": 45.5,
        "longitude": -1.0,
        "license": "a license",
        "author": "a author",
    }
    assert sorted(extra) == ["altitude", "dataset", "image_backup_url", "partner", "publisher", "references", "url"]
    assert species == {
        "row_number": 2,
        "species_id": "a species_id",
        "scientific_name": "a species",
        "genus": "a genus",
        "family": "a family",
        "is_venomous": None,
        "gbif_id": "a gbif_species_id",
    }


def test_frames_have_the_types_of_their_schemas(tmp_path):
    lay(tmp_path / "photographs", {"1/a.jpg": b""})
    batches = list(PlantClefSource(write(tmp_path, {"image_name": "a.jpg"}), FolderFiles(tmp_path / "photographs")))
    assert all(batch.rows.schema == ROWS for batch in batches)
    assert all(batch.species.schema == SPECIES for batch in batches)
    assert all(batch.files.schema == LISTING for batch in batches)


def test_ids_keep_their_leading_zeros(tmp_path):
    rows, species = row(tmp_path, species_id="007", obs_id="0042", gbif_species_id="01")
    assert (species["species_id"], rows["observation_id"], species["gbif_id"]) == ("007", "0042", "01")


@pytest.mark.parametrize("text", ["north", "90.1", "nan", "inf"])
def test_what_is_no_latitude_is_kept_as_text(tmp_path, text):
    rows, _ = row(tmp_path, latitude=text, longitude="180")
    assert (rows["latitude"], rows["longitude"], json.loads(rows["extra"])) == (None, 180.0, {"latitude": text})


def test_a_photograph_without_an_address_is_fetched_from_the_backup(tmp_path):
    assert row(tmp_path, image_backup_url="https://b/a.jpg")[0]["url"] == "https://b/a.jpg"


def test_a_row_without_a_name_or_a_species_says_so(tmp_path):
    rows, species = said(PlantClefSource(write(tmp_path, {"image_name": " ", "species_id": " ", "obs_id": "1"}), None))
    assert rows.select("image_name", "file_name", "observation_id").rows() == [(None, None, "1")]
    assert species.is_empty()


@pytest.mark.parametrize(("tag", "split"), [("train", "train"), ("val", "val"), ("test", "test"), ("", None)])
def test_a_learn_tag_is_a_split(tmp_path, tag, split):
    assert row(tmp_path, learn_tag=tag)[0]["split_tag"] == split


def test_an_unknown_learn_tag_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"'learn_tag' of training.csv says 'extra'"):
        row(tmp_path, learn_tag="extra")


def test_a_row_of_another_width_is_malformed_and_the_others_are_read(tmp_path):
    path = write(tmp_path, {"image_name": "a.jpg"})
    path.write_text(path.read_text() + "b.jpg;leaf\n")
    rows, _ = said(PlantClefSource(path, None))
    assert rows.sort("row_number").select("row_number", "image_name", "kind", "detail").rows() == [
        (2, "a.jpg", None, None),
        (3, None, "row_malformed", "line 3 has 2 fields, the header has 20"),
    ]


def test_a_missing_column_is_named_with_its_neighbour(tmp_path):
    columns = ["obs id" if column == "obs_id" else column for column in COLUMNS]
    with pytest.raises(
        SourceError, match=r"training.csv has no column 'obs_id'; the nearest is 'obs id'.*image_name, organ"
    ):
        list(PlantClefSource(write(tmp_path, columns=columns), None))


def test_a_table_of_another_delimiter_is_refused(tmp_path):
    (tmp_path / "training.csv").write_text(",".join(COLUMNS))
    with pytest.raises(SourceError, match="parted by ';'"):
        list(PlantClefSource(tmp_path / "training.csv", None))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(SourceError, match="there is no table"):
        list(PlantClefSource(tmp_path / "training.csv", None))


def test_all_files_are_listed_wherever_they_lie(tmp_path):
    lay(tmp_path / "photographs", {"train/1/a.jpg": b"", "b.jpg": b""})
    source = PlantClefSource(write(tmp_path, {"image_name": "a.jpg"}), FolderFiles(tmp_path / "photographs"))
    files = pl.concat([batch.files for batch in source])
    assert (sorted(files["file_name"]), source.names_are_unique) == (["b.jpg", "train/1/a.jpg"], True)


@settings(max_examples=50, deadline=None)
@given(
    written=st.lists(st.fixed_dictionaries({"image_name": CELLS, "partner": CELLS, "references": CELLS}), max_size=5)
)
def test_the_rows_read_are_the_rows_written(tmp_path_factory, written):
    rows, _ = said(PlantClefSource(write(tmp_path_factory.mktemp("table"), *written), None))
    read = [json.loads(extra) if extra else {} for extra in rows["extra"]]
    kept = [{name: cell for name, cell in cells.items() if cell and name != "image_name"} for cells in written]
    assert (read, rows["kind"].null_count()) == (kept, len(written))


@dataclass(frozen=True)
class InFrames:
    """A place whose listing comes in given frames."""

    uri: str
    frames: list[pl.DataFrame]

    def listing(self, folders=None):
        return iter(self.frames)


def quadrats(folder, *names):
    return said(PlantClefQuadrats(FolderFiles(lay(folder / "quadrats", dict.fromkeys(names, b"")))))[0]


def quadrat(folder, stem, *columns):
    return quadrats(folder, f"{stem}.jpg").select(columns).row(0)


@pytest.mark.parametrize(
    ("stem", "transect", "base_quadrat"),
    [
        ("CBN-PdlC-A1-20130807", "CBN-PdlC", "CBN-PdlC-A1"),
        ("CBN-Pla-B4-20140722", "CBN-Pla", "CBN-Pla-B4"),
        ("GUARDEN-CBNMed-19-4-42-20230517", "GUARDEN-CBNMed", "GUARDEN-CBNMed-19"),
        ("RNNB-3-9-20240117", "RNNB", "RNNB-3-9"),
        ("LISAH-BOU-10-20140406", "LISAH-BOU", "LISAH-BOU-10"),
        ("OPTMix-0598-P4-108-20231207", "OPTMix", "OPTMix-0598"),
        ("LISAH-BVD-2-20230412", "LISAH-BVD", "LISAH-BVD-2"),
        ("GUARDEN-AMB-PR13-1-2-20240417", "GUARDEN-AMB", "GUARDEN-AMB-PR13"),
        ("LISAH-PEC-7-20230517", "LISAH-PEC", "LISAH-PEC-7"),
        ("CBN-can-A6-20230705", "CBN-can", "CBN-can-A6"),
        ("LISAH-JAS-1-20230412", "LISAH-JAS", "LISAH-JAS-1"),
        ("CBN-Pyr-03-20230706", "CBN-Pyr", "CBN-Pyr-03"),
        ("2024-CEV3-20240602", "2024-CEV3", "2024-CEV3-20240602"),
    ],
)
def test_a_name_tells_its_transect_and_its_ground(tmp_path, stem, transect, base_quadrat):
    assert quadrat(tmp_path, stem, "transect", "base_quadrat") == (transect, base_quadrat)


def test_a_name_of_no_project_is_its_own_ground_and_in_no_transect(tmp_path):
    assert quadrat(tmp_path, "meadow-7", "transect", "base_quadrat", "observed_on") == (None, "meadow-7", None)


@pytest.mark.parametrize(
    ("ending", "observed_on"),
    [("20240229", date(2024, 2, 29)), ("20230229", None), ("99999999", None), ("2024022", None), ("120240229", None)],
)
def test_a_quadrat_was_seen_on_the_day_that_ends_its_name(tmp_path, ending, observed_on):
    assert quadrat(tmp_path, f"CBN-Pla-A1-{ending}", "observed_on") == (observed_on,)


def test_each_photograph_is_a_quadrat_of_its_own(tmp_path):
    found = quadrats(tmp_path, "CBN-Pla-A1-20240602.jpg", "RNNB-1-1-20240117.JPG")
    assert found.select("row_number", "image_name", "file_name", "observation_id", "kind").rows() == [
        (1, "CBN-Pla-A1-20240602.jpg", "CBN-Pla-A1-20240602.jpg", "CBN-Pla-A1-20240602", None),
        (2, "RNNB-1-1-20240117.JPG", "RNNB-1-1-20240117.JPG", "RNNB-1-1-20240117", None),
    ]


def test_a_file_that_is_no_image_is_set_aside(tmp_path):
    assert quadrats(tmp_path, "a.jpg", "readme.txt").select("image_name", "kind").rows() == [
        ("a.jpg", None),
        ("readme.txt", "not_an_image"),
    ]


def test_a_file_that_the_listing_sets_aside_is_so_for_the_same_reason(tmp_path):
    folder = lay(tmp_path / "quadrats", {"a.jpg": b""})
    (folder / "b.txt").symlink_to(lay(tmp_path / "elsewhere", {"b.txt": b""}) / "b.txt")
    batches = list(PlantClefQuadrats(FolderFiles(folder)))
    for batch in batches:
        linked = batch.files.filter(pl.col("kind").is_not_null())
        assert linked.height == 1
        assert (
            batch.rows.filter(pl.col("kind").is_not_null())
            .select("file_name", "kind", "detail")
            .equals(linked.select("file_name", "kind", "detail"))
        )


def test_quadrats_are_numbered_through_all_frames_of_a_listing(tmp_path):
    files = FolderFiles(lay(tmp_path / "quadrats", {f"{number}.jpg": b"" for number in range(3)}))
    listed = pl.concat(files.listing())
    source = PlantClefQuadrats(InFrames(files.uri, [listed.head(2), listed.tail(1)]))
    assert [batch.rows["row_number"].to_list() for batch in source] == [[1, 2], [3]]
