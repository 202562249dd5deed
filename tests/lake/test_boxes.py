from concurrent.futures import ThreadPoolExecutor

import pytest
from lake_rows import filled, held

from lake import boxes, query, tables
from lake.errors import LakeError, SourceError

HEADER = "image_name,x0,y0,x1,y1\n"
BOXES = "image_id tile_index x0 y0 x1 y1 score"
# a, b and c of data set d; b lies under two names; c belongs to e as well.
IMAGES = (("i-a", 100, 80), ("i-b", 60, 60), ("i-c", 40, 30))
RECORDS = (
    ("d", "a.jpg", "i-a"),
    ("d", "b.jpg", "i-b"),
    ("d", "b2.jpg", "i-b"),
    ("d", "c.jpg", "i-c"),
    ("e", "x.jpg", "i-c"),
)


@pytest.fixture
def stocked(lake):
    """Four records of three photographs of known sizes."""
    tables.append(lake, "images", filled("images", "image_id width_px height_px", *IMAGES))
    tables.append(lake, "image_records", filled("image_records", "dataset image_name image_id", *RECORDS))
    return lake


@pytest.fixture
def written(tmp_path):
    """Write a table of boxes, by default the one of this name."""

    def write(*rows, header=HEADER):
        csv = tmp_path / "boxes.csv"
        csv.write_text(header + "".join(f"{row}\n" for row in rows))
        return csv

    return write


@pytest.fixture
def take_in(stocked, written):
    """Take in rows as the flow does."""

    def take(*rows, dataset="d", name="sam", header=HEADER):
        csv = written(*rows, header=header)
        return boxes.append_boxes(stocked, dataset, name, str(csv), boxes.read_boxes(csv), "run")

    return take


def counts(taken):
    return taken.found, taken.kept, taken.already_known, dict(taken.set_aside_by_kind)


def problems(lake):
    return held(lake, "ingest_issues", "image_name kind detail row_count")


def of_scheme(lake, scheme_id, *image_ids):
    return boxes.boxes_of(lake, *tables.latest(lake, "boxes"), scheme_id, image_ids)


def test_the_boxes_of_an_image_are_its_tiles_in_the_order_given(stocked, take_in):
    assert counts(take_in("a.jpg,50,0,60,9", "b.jpg,0,0,5,5", "a.jpg,10,20,30,40")) == (3, 3, 0, {})
    assert held(stocked, "boxes", BOXES) == [
        ("i-a", 0, 50, 0, 60, 9, None),
        ("i-a", 1, 10, 20, 30, 40, None),
        ("i-b", 0, 0, 0, 5, 5, None),
    ]
    assert held(stocked, "boxes", "scheme_id flow_run_id")[0] == ("boxes-sam", "run")


def test_the_boxes_of_images_are_found_under_their_scheme(stocked, take_in):
    take_in("a.jpg,50,0,60,9", "a.jpg,10,20,30,40", "b.jpg,0,0,5,5")
    take_in("a.jpg,1,1,2,2", name="other")
    assert of_scheme(stocked, "boxes-sam", "i-a", "i-c") == {"i-a": [(50, 0, 60, 9), (10, 20, 30, 40)]}
    assert of_scheme(stocked, "boxes-other", "i-a", "i-b") == {"i-a": [(1, 1, 2, 2)]}
    assert of_scheme(stocked, "boxes-none", "i-a") == {}


def test_a_score_is_kept_and_may_be_missing(stocked, take_in):
    header = "score,image_name,x0,y0,x1,y1,label\n"
    take_in("0.25,a.jpg,0,0,5,5,leaf", ",a.jpg,5,5,9,9,", header=header)
    assert held(stocked, "boxes", "tile_index score") == [(0, 0.25), (1, None)]


def test_a_box_is_cut_off_at_the_edges_and_fractions_of_pixels_go_outwards(stocked, take_in):
    take_in("a.jpg,-7.5,-1,1e9,79.2", "a.jpg,0.2,0.3,0.4,0.5", "a.jpg,2.0,3.9,4.1,5", "a.jpg,6.9,3.9,8,5.1")
    assert held(stocked, "boxes", "x0 y0 x1 y1") == [
        (0, 0, 1, 1), (0, 0, 100, 80), (2, 3, 5, 5), (6, 3, 8, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [" ./s//u\u0308.jpg ", "s\\ü.jpg", "https://web.org/b//1.jpg"])
def test_photographs_are_found_by_whatever_spelling_of_their_path_and_by_their_address(stocked, take_in, name):
    records = ("d", "s/ü.jpg", "i-a"), ("d", "https://web.org/b//1.jpg", "i-b")
    tables.append(stocked, "image_records", filled("image_records", "dataset image_name image_id", *records))
    assert counts(take_in(f"{name},0,0,5,5")) == (1, 1, 0, {})


def test_the_same_table_again_is_known_and_writes_nothing(stocked, take_in):
    rows = ("a.jpg,0,0,5,5", "a.jpg,5,5,9.5,9", "nobody.jpg,0,0,5,5", "b.jpg,9,9,5,5", "a.jpg,0,0")
    first = take_in(*rows)
    before = tables.latest(stocked, "boxes", "ingest_issues")
    again = take_in(*rows)
    assert counts(first) == (5, 2, 0, {"box_without_image": 1, "box_malformed": 2})
    assert counts(again) == (5, 0, 2, {"box_without_image": 1, "box_malformed": 2})
    assert [done.snapshot.table for done in first.committed] == ["ingest_issues", "boxes"]
    assert again.committed == []
    assert tables.latest(stocked, "boxes", "ingest_issues") == before


def test_the_same_boxes_in_another_order_are_known(stocked, take_in):
    take_in("a.jpg,0,0,5,5", "a.jpg,5,5,9,9", "b.jpg,0,0,5,5")
    assert counts(take_in("b.jpg,0,0,5,5", "a.jpg,5,5,9,9", "a.jpg,0.0,0,5,5")) == (3, 0, 3, {})


def test_a_table_that_has_grown_adds_the_new_images(stocked, take_in):
    take_in("a.jpg,0,0,5,5")
    assert counts(take_in("a.jpg,0,0,5,5", "b.jpg,1,1,2,2", "b.jpg,3,3,4,4")) == (3, 2, 1, {})
    assert held(stocked, "boxes", "image_id tile_index") == [("i-a", 0), ("i-b", 0), ("i-b", 1)]


@pytest.mark.parametrize(
    "other",
    [("a.jpg,0,0,5,6",), ("a.jpg,0,0,5,5", "a.jpg,0,0,5,5"), ("a.jpg,0,0,5,5", "a.jpg,1,1,2,2")],
    ids=["moved", "twice", "more"],
)
def test_other_boxes_of_an_image_are_refused_under_the_same_name_and_nothing_is_written(stocked, take_in, other):
    take_in("a.jpg,0,0,5,5")
    before = tables.latest(stocked, "boxes", "ingest_issues")
    with pytest.raises(
        LakeError, match=r"^1 photographs of 'd' have other boxes under 'boxes-sam' \(a\.jpg\).* --name"
    ):
        take_in(*other, "b.jpg,0,0,5,5", "nobody.jpg,0,0,5,5")
    assert tables.latest(stocked, "boxes", "ingest_issues") == before
    assert counts(take_in(*other, name="sam2")) == (len(other), len(other), 0, {})


def test_another_score_is_another_box(stocked, take_in):
    header = "image_name,x0,y0,x1,y1,score\n"
    take_in("a.jpg,0,0,5,5,0.5", header=header)
    with pytest.raises(LakeError, match="have other boxes"):
        take_in("a.jpg,0,0,5,5,0.6", header=header)


def test_a_photograph_of_two_data_sets_has_its_boxes_once(stocked, take_in):
    assert counts(take_in("c.jpg,0,0,5,5")) == (1, 1, 0, {})
    assert counts(take_in("x.jpg,0,0,5,5", dataset="e")) == (1, 0, 1, {})
    with pytest.raises(LakeError, match=r"of 'e' have other boxes .* \(x\.jpg\)"):
        take_in("x.jpg,0,0,5,6", dataset="e")


def test_a_photograph_under_two_names_has_its_boxes_once(stocked, take_in):
    rows = ("b.jpg,0,0,5,5", "b2.jpg,0,0,5,5", "b.jpg,6,6,9,9", "b2.jpg,6,6,9,9")
    assert counts(take_in(*rows)) == (4, 2, 2, {})
    assert of_scheme(stocked, "boxes-sam", "i-b") == {"i-b": [(0, 0, 5, 5), (6, 6, 9, 9)]}
    assert counts(take_in(*rows)) == (4, 0, 4, {})


def test_a_photograph_with_other_boxes_under_another_of_its_names_keeps_those_of_the_first(stocked, take_in):
    rows = ("b2.jpg,0,0,5,5", "b.jpg,0,0,5,6", "b.jpg,1,1,2,2")
    assert counts(take_in(*rows)) == (3, 1, 0, {"box_contradicted": 2})
    assert of_scheme(stocked, "boxes-sam", "i-b") == {"i-b": [(0, 0, 5, 5)]}
    assert problems(stocked) == [
        ("b.jpg", "box_contradicted", "the same photograph has other boxes as b2.jpg", 2),
    ]
    assert counts(take_in(*rows)) == (3, 0, 1, {"box_contradicted": 2})


@pytest.mark.parametrize(
    ("row", "image_name", "detail"),
    [
        ("a.jpg,5,0,5,9", "a.jpg", "it is empty"),
        ("a.jpg,0,9,5,9", "a.jpg", "it is empty"),
        ("a.jpg,9,0,5,9", "a.jpg", "it is empty"),
        ("a.jpg,100,0,120,9", "a.jpg", "it lies outside of its photograph of 100x80 px"),
        ("a.jpg,0,80,9,90", "a.jpg", "it lies outside of its photograph of 100x80 px"),
        ("a.jpg,-9,0,0,9", "a.jpg", "it lies outside of its photograph of 100x80 px"),
        ("a.jpg,0,-1e12,9,-1e11", "a.jpg", "it lies outside of its photograph of 100x80 px"),
        ("a.jpg,,0,9,9", "a.jpg", "x0 is '', which is no number"),
        ("a.jpg,0,ten,9,9", "a.jpg", "y0 is 'ten', which is no number"),
        ("a.jpg,0,0,nan,9", "a.jpg", "x1 is 'nan', which is no number"),
        ("a.jpg,0,0,9,inf", "a.jpg", "y1 is 'inf', which is no number"),
        ("a.jpg,0,0,9", "row 2", "line 2 has 4 fields, the header has 5"),
        ("a.jpg,0,0,9,9,9", "row 2", "line 2 has 6 fields, the header has 5"),
        ("nobody.jpg,x,0,9,9", "nobody.jpg", "x0 is 'x', which is no number"),
    ],
)
def test_what_is_no_box_is_set_aside_with_its_reason(stocked, take_in, row, image_name, detail):
    assert counts(take_in(row, "b.jpg,0,0,9,9")) == (2, 1, 0, {"box_malformed": 1})
    assert problems(stocked) == [(image_name, "box_malformed", detail, 1)]


def test_a_score_that_is_no_number_sets_its_box_aside(stocked, take_in):
    assert counts(take_in("a.jpg,0,0,9,9,high", header="image_name,x0,y0,x1,y1,score\n")) == (
        *(1, 0, 0),
        {"box_malformed": 1},
    )
    assert problems(stocked) == [("a.jpg", "box_malformed", "score is 'high', which is no number", 1)]


def test_a_box_of_no_known_photograph_is_set_aside(stocked, take_in):
    rows = ("x.jpg,0,0,5,5", "x.jpg,5,5,9,9", ",0,0,5,5")  # x.jpg is one of another data set
    assert counts(take_in(*rows)) == (3, 0, 0, {"box_without_image": 3})
    assert problems(stocked) == [
        ("row 4", "box_without_image", "it names no photograph", 1),
        ("x.jpg", "box_without_image", "no photograph of 'd' has this name", 2),
    ]


def test_what_is_set_aside_says_whether_its_photograph_is_there(stocked, take_in):
    take_in("a.jpg,5,5,5,5", "nobody.jpg,0,0,5,5")
    assert held(stocked, "ingest_issues", "image_name is_set_aside is_on_record flow_run_id dataset") == [
        ("a.jpg", True, True, "run", "d"),
        ("nobody.jpg", True, False, "run", "d"),
    ]


def test_a_row_that_was_mended_is_no_longer_set_aside(stocked, take_in):
    take_in("a.jpg,5,5,5,5", "nobody.jpg,0,0,5,5")
    assert counts(take_in("a.jpg,5,5,9,9", "nobody.jpg,0,0,5,5")) == (2, 1, 0, {"box_without_image": 1})
    assert ("a.jpg", "box_malformed", "no longer", 0) in problems(stocked)
    assert ("nobody.jpg", "box_without_image", "no longer", 0) not in problems(stocked)


def test_a_table_read_for_another_name_does_not_mend_what_was_set_aside(stocked, take_in):
    take_in("a.jpg,5,5,5,5")
    take_in("a.jpg,5,5,9,9", name="other")
    assert problems(stocked) == [("a.jpg", "box_malformed", "it is empty", 1)]


def test_a_box_whose_photograph_comes_later_is_kept_then(stocked, take_in):
    take_in("later.jpg,0,0,5,5")
    tables.append(
        stocked, "image_records", filled("image_records", "dataset image_name image_id", ("d", "later.jpg", "i-a"))
    )
    assert counts(take_in("later.jpg,0,0,5,5")) == (1, 1, 0, {})


def test_what_is_set_aside_is_counted_with_its_data_set(stocked, take_in):
    take_in("a.jpg,5,5,5,5", "nobody.jpg,0,0,5,5", "nobody.jpg,5,5,9,9")
    snapshots = tables.latest(stocked, "image_records", "labels", "ingest_issues")
    rows = query.answer(stocked, "audit/dataset_counts", snapshots).to_pylist()
    assert {row["dataset"]: row["set_aside"] for row in rows} == {"d": 3, "e": 0}


def test_a_table_without_rows_has_no_boxes(stocked, take_in):
    assert counts(take_in()) == (0, 0, 0, {})


def test_columns_stand_in_any_order_and_are_parted_by_any_sign(stocked, take_in):
    take_in("9;8;b.jpg;0;1;x", header="x1;y1;image_name;x0;y0;class\n")
    assert of_scheme(stocked, "boxes-sam", "i-b") == {"i-b": [(0, 1, 9, 8)]}


def test_a_column_that_is_missing_is_an_error_with_its_nearest(written):
    csv = written("a.jpg,0,0,5,5", header="image,x0,y0,x1,y1\n")
    with pytest.raises(
        SourceError, match=r"has no column 'image_name' \(the nearest is 'image'\); .* are image, x0, y0"
    ):
        boxes.read_boxes(csv)


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"there is no table .*none\.csv"):
        boxes.read_boxes(tmp_path / "none.csv")


def test_images_with_boxes_are_counted_for_each_data_set(stocked, take_in):
    take_in("a.jpg,0,0,5,5", "a.jpg,5,5,9,9", "c.jpg,0,0,5,5")
    assert boxes.require_boxes(stocked, "d", "boxes-sam") == 2
    assert boxes.require_boxes(stocked, "e", "boxes-sam") == 1


def test_a_scheme_without_boxes_is_refused_with_those_that_there_are(stocked, take_in):
    with pytest.raises(LakeError, match=r"no image of 'd' has boxes under 'boxes-sam'; there are: none\. "):
        boxes.require_boxes(stocked, "d", "boxes-sam")
    take_in("a.jpg,0,0,5,5")
    with pytest.raises(LakeError, match=r"under 'boxes-sum'; there are: boxes-sam \(1 images\)\. .*ingest boxes"):
        boxes.require_boxes(stocked, "d", "boxes-sum")


def test_of_two_writers_of_the_same_boxes_one_writes_them(stocked, written):
    csv = written("a.jpg,0,0,5,5", "b.jpg,0,0,5,5")
    proposed = boxes.read_boxes(csv)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda run: boxes.append_boxes(stocked, "d", "sam", "csv", proposed, run), "ab"))
    assert sorted(each.kept for each in taken) == [0, 2]
    assert len(held(stocked, "boxes", BOXES)) == 2
