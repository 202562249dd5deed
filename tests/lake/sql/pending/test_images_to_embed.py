import pytest
from lake_rows import day, frame, rows

from lake.query import answer

ONE_RECORD = (("d", "a.jpg", "i1"),)
ONE_IMAGE = (("i1", 9, day(1)),)


def pending(records=ONE_RECORD, images=ONE_IMAGE, embedded=(), issues=(), boxes=(), scheme_id="whole"):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "images": frame("image_id byte_count ingested_at width_px height_px", *((*image, 4, 3) for image in images)),
        "boxes": frame("scheme_id image_id", *boxes),
        "embeddings": frame("embedding_key scheme_id image_id", *embedded),
        "ingest_issues": frame("dataset image_name kind", *issues),
    }
    params = {"dataset": "d", "embedding_key": "k", "scheme_id": scheme_id}
    return answer(None, "pending/images_to_embed", frames=frames, **params)


def test_an_image_without_embedding_waits():
    assert rows(pending()) == [("i1", "a.jpg", 9, day(1), 4, 3)]


def test_an_embedded_image_does_not_wait():
    assert rows(pending(embedded=[("k", "whole", "i1")])) == []


@pytest.mark.parametrize("other", [("l", "whole", "i1"), ("k", "grid-2x2", "i1"), ("k", "whole", "i2")])
def test_vectors_under_another_key_or_scheme_or_of_another_image_do_not_count(other):
    assert len(rows(pending(embedded=[other]))) == 1


def test_an_image_that_could_not_be_embedded_is_not_tried_again():
    assert rows(pending(issues=[("d", "a.jpg", "not_embedded:k:whole")])) == []


def test_an_image_that_could_not_be_embedded_is_not_tried_again_under_a_newer_name():
    two_names = ("d", "b.jpg", "i1"), ("d", "a.jpg", "i1")
    assert rows(pending(two_names, issues=[("d", "b.jpg", "not_embedded:k:whole")])) == []


def test_other_issues_and_those_of_other_data_sets_do_not_keep_an_image_back():
    assert len(rows(pending(issues=[("d", "a.jpg", "duplicate_name"), ("e", "a.jpg", "not_embedded:k:whole")]))) == 1


def test_the_same_bytes_under_two_names_wait_once():
    two_names = ("d", "b.jpg", "i1"), ("d", "a.jpg", "i1")
    assert rows(pending(two_names), "image_id image_name") == [("i1", "a.jpg")]


def test_images_come_as_they_lie_in_the_files():
    records = ("d", "a.jpg", "i1"), ("d", "b.jpg", "i2"), ("d", "c.jpg", "i3")
    images = ("i1", 9, day(2)), ("i2", 9, day(1)), ("i3", 9, day(1))
    assert rows(pending(records, images), "image_id") == [("i2",), ("i3",), ("i1",)]


def test_images_of_other_data_sets_do_not_wait():
    assert rows(pending([("e", "a.jpg", "i1")])) == []


@pytest.mark.parametrize("issue", [("d", "a.jpg", "not_embedded:l:whole"), ("d", "a.jpg", "not_embedded:k:grid-2x2")])
def test_an_image_that_failed_under_another_key_or_scheme_is_not_excused_here(issue):
    assert len(rows(pending(issues=[issue]))) == 1


def test_an_image_waits_to_be_cut_at_boxes_only_when_it_has_some():
    assert rows(pending(scheme_id="boxes-sam")) == []
    boxes = [("boxes-sam", "i1"), ("boxes-sam", "i1"), ("boxes-sam", "i2")]
    assert rows(pending(boxes=boxes, scheme_id="boxes-sam"), "image_id") == [("i1",)]


def test_an_image_that_is_embedded_at_its_boxes_does_not_wait():
    boxes, embedded = [("boxes-sam", "i1")], [("k", "boxes-sam", "i1")]
    assert rows(pending(boxes=boxes, embedded=embedded, scheme_id="boxes-sam")) == []


def test_boxes_of_another_name_do_not_make_an_image_wait():
    assert rows(pending(boxes=[("boxes-sam2", "i1")], scheme_id="boxes-sam")) == []


def test_other_schemes_do_not_ask_for_boxes():
    assert len(rows(pending(boxes=[("boxes-sam", "i2")], scheme_id="grid-2x2"))) == 1
