from lake_rows import frame, rows

from lake.query import answer


def coverage(records, embeddings, issues=()):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "embeddings": frame("embedding_key scheme_id image_id tile_index", *embeddings),
        "embedding_specs": frame("embedding_key backbone", ("k", "vit")),
        "ingest_issues": frame("dataset image_name kind", *issues),
    }
    return answer(None, "audit/embedding_coverage", frames=frames)


def test_images_without_tiles_are_pending():
    found = coverage([("d", "a.jpg", "i1"), ("d", "b.jpg", "i2")], [("k", "whole", "i1", 0)])
    assert rows(found, "dataset embedding_key backbone scheme_id embedded pending") == [
        ("d", "k", "vit", "whole", 1, 1)
    ]


def test_all_tiles_of_an_image_are_one_image():
    found = coverage([("d", "a.jpg", "i1")], [("k", "grid-1x2", "i1", 0), ("k", "grid-1x2", "i1", 1)])
    assert rows(found, "embedded tiles pending") == [(1, 2, 0)]


def test_an_image_under_two_names_is_covered_once():
    found = coverage([("d", "a.jpg", "i1"), ("d", "b.jpg", "i1")], [("k", "whole", "i1", 0)])
    assert rows(found, "embedded tiles pending") == [(1, 1, 0)]


def test_an_image_of_two_data_sets_covers_both():
    found = coverage([("d", "a.jpg", "i1"), ("e", "a.jpg", "i1")], [("k", "whole", "i1", 0)])
    assert rows(found, "dataset embedded") == [("d", 1), ("e", 1)]


def test_a_data_set_without_any_embedding_is_all_pending():
    found = coverage([("d", "a.jpg", "i1")], [])
    assert rows(found, "dataset embedding_key embedded pending") == [("d", None, 0, 1)]


def test_what_is_known_to_fail_under_a_key_and_scheme_is_not_pending_there():
    records = [("d", "a.jpg", "i1"), ("d", "b.jpg", "i2")]
    issues = [("d", "b.jpg", "not_embedded:k:whole"), ("d", "a.jpg", "not_embedded:k:grid-9x9")]
    assert rows(coverage(records, [("k", "whole", "i1", 0)], issues), "embedded pending") == [(1, 0)]
