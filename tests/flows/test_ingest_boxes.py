import pytest
from homes import content, versions

from flows import settings
from flows.boxes import boxes
from flows.ingest import ingest_folder
from flows.settings import SettingsError
from lake.errors import LakeError, SourceError, TableMissingError
from modeling.tiling import Boxes, parse


@pytest.fixture
def stocked(home, flora):
    """A home with the photographs of a small flora, none of them embedded."""
    ingest_folder.fn(flora.folder / "plants", "plants", home=home)
    return home


@pytest.fixture
def names(stocked):
    """The names of the photographs, sorted."""
    return sorted(row["image_name"] for row in content(stocked, "image_records"))


def table(folder, *rows):
    csv = folder / "boxes.csv"
    csv.write_text("image_name,x0,y0,x1,y1,score\n" + "".join(f"{row}\n" for row in rows))
    return csv


def test_boxes_are_taken_in_and_every_row_is_accounted_for(stocked, names, tmp_path):
    csv = table(tmp_path, f"{names[0]},0,0,20,20,0.9", f"{names[0]},5,5,30.5,30,", f"{names[1]},9,9,9,9,", "?,0,0,5,5,")
    report = boxes.fn(csv, "plants", "sam", stocked)
    assert (report.found, report.kept, report.already_known, report.set_aside) == (4, 2, 0, 2)
    assert report.set_aside_by_kind == {"box_malformed": 1, "box_without_image": 1}
    assert (report.scheme_id, report.source, report.committed) == ("boxes-sam", str(csv), True)
    assert [row["x1"] for row in content(stocked, "boxes")] == [20, 31]
    assert {(row["image_name"], row["kind"]) for row in content(stocked, "ingest_issues")} == {
        (names[1], "box_malformed"),
        ("?", "box_without_image"),
    }
    (ledger,) = [row for row in content(stocked, "stage_runs") if row["stage"] == "boxes"]
    assert (ledger["dataset"], ledger["rows"], ledger["reused"]) == ("plants", 2, 0)


def test_a_report_says_what_became_of_the_boxes_and_why(stocked, names, tmp_path):
    report = boxes.fn(table(tmp_path, f"{names[0]},0,0,20,20,", "?,0,0,5,5,"), "plants", "sam", stocked)
    assert report.lines() == [
        "plants: found 2 boxes = kept 1 + already known 0 + set aside 1 (1 box_without_image)",
        'why: taxalake sql "select image_name, kind, detail from ingest_issues '
        "where dataset = 'plants' and kind like 'box%' and row_count > 0\"",
        "embed them with --tiling boxes-sam",
    ]


def test_the_same_boxes_again_commit_nothing(stocked, names, tmp_path):
    csv = table(tmp_path, f"{names[0]},0,0,20,20,", "?,0,0,5,5,")
    boxes.fn(csv, "plants", "sam", stocked)
    before = versions(stocked)
    again = boxes.fn(csv, "plants", "sam", stocked)
    assert (again.kept, again.already_known, again.set_aside, again.committed) == (0, 1, 1, False)
    assert again.lines()[-1] == "nothing new: nothing was committed"
    assert versions(stocked) == before


def test_other_boxes_of_a_photograph_ask_for_another_name(stocked, names, tmp_path):
    boxes.fn(table(tmp_path, f"{names[0]},0,0,20,20,"), "plants", "sam", stocked)
    before = versions(stocked)
    other = table(tmp_path, f"{names[0]},0,0,21,20,")
    with pytest.raises(LakeError, match="another --name"):
        boxes.fn(other, "plants", "sam", stocked)
    assert versions(stocked) == before
    assert boxes.fn(other, "plants", "sam-2", stocked).kept == 1


def test_the_scheme_of_boxes_is_one_that_the_tilings_know(stocked, names, tmp_path):
    report = boxes.fn(table(tmp_path, f"{names[0]},0,0,20,20,"), "plants", "sam_2.1-L", stocked)
    assert parse(report.scheme_id) == Boxes("sam_2.1-L")
    assert settings.load(home=stocked, tiling=report.scheme_id).tiling == report.scheme_id


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "a:b"])
def test_a_name_that_no_tiling_can_have_is_refused(stocked, tmp_path, name):
    with pytest.raises(SettingsError, match="is no name for a set of boxes"):
        boxes.fn(table(tmp_path), "plants", name, stocked)


def test_boxes_of_a_data_set_that_is_not_there_are_refused(stocked, tmp_path):
    with pytest.raises(LakeError, match="no photograph of a data set 'animals'"):
        boxes.fn(table(tmp_path, "a.jpg,0,0,5,5,"), "animals", "sam", stocked)


def test_boxes_make_no_lake(tmp_path):
    home = tmp_path / "nowhere"
    with pytest.raises(TableMissingError, match="taxalake ingest"):
        boxes.fn(table(tmp_path, "a.jpg,0,0,5,5,"), "plants", "sam", home)
    assert not home.exists()


def test_a_table_that_is_not_there_is_an_error_that_names_it(stocked, tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        boxes.fn(tmp_path / "none.csv", "plants", "sam", stocked)
