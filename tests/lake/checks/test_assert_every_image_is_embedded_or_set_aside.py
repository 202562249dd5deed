import pytest
from lake_rows import frame, offenders


def missed(records=(("d", "a.jpg", "i1"),), embedded=(), issues=(), boxes=(), scheme_id="whole"):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "boxes": frame("scheme_id image_id", *boxes),
        "embeddings": frame("embedding_key scheme_id image_id", *embedded),
        "ingest_issues": frame("dataset image_name kind", *issues),
    }
    params = {"dataset": "d", "embedding_key": "k", "scheme_id": scheme_id}
    return offenders("every_image_is_embedded_or_set_aside", frames, **params)


def test_an_image_that_is_neither_is_found():
    assert missed() == [("i1",)]


def test_an_embedded_image_is_not():
    assert missed(embedded=[("k", "whole", "i1")]) == []


@pytest.mark.parametrize("other", [("l", "whole", "i1"), ("k", "grid-2x2", "i1")])
def test_vectors_under_another_key_or_scheme_do_not_count(other):
    assert missed(embedded=[other]) == [("i1",)]


def test_an_image_set_aside_under_one_of_its_names_is_not():
    assert missed([("d", "a.jpg", "i1"), ("d", "b.jpg", "i1")], issues=[("d", "b.jpg", "not_embedded:k:whole")]) == []


def test_another_issue_is_no_reason():
    assert missed(issues=[("d", "a.jpg", "duplicate_name"), ("e", "a.jpg", "not_embedded:k:whole")]) == [("i1",)]


@pytest.mark.parametrize("issue", [("d", "a.jpg", "not_embedded:l:whole"), ("d", "a.jpg", "not_embedded:k:grid-2x2")])
def test_an_image_that_failed_under_another_key_or_scheme_is_not_excused_here(issue):
    assert missed(issues=[issue]) == [("i1",)]


def test_cut_at_boxes_only_an_image_that_has_some_has_to_be_embedded():
    assert missed(scheme_id="boxes-sam") == []
    assert missed(boxes=[("boxes-sam2", "i1")], scheme_id="boxes-sam") == []
    assert missed(boxes=[("boxes-sam", "i1")], scheme_id="boxes-sam") == [("i1",)]
    assert missed(boxes=[("boxes-sam", "i1")], embedded=[("k", "boxes-sam", "i1")], scheme_id="boxes-sam") == []


def test_other_schemes_do_not_ask_for_boxes():
    assert missed(boxes=[("boxes-sam", "i2")], scheme_id="grid-2x2") == [("i1",)]
