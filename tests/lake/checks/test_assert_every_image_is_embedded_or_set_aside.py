import pytest
from lake_rows import frame, offenders


def missed(records=(("d", "a.jpg", "i1"),), embedded=(), issues=()):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "embeddings": frame("embedding_key scheme_id image_id", *embedded),
        "ingest_issues": frame("dataset image_name kind", *issues),
    }
    params = {"dataset": "d", "embedding_key": "k", "scheme_id": "whole"}
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
