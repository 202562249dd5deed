from lake_rows import frame, rows

from lake.query import answer


def coverage(records, embeddings, issues=(), boxes=()):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "boxes": frame("scheme_id image_id tile_index", *boxes),
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


def test_cut_at_boxes_only_an_image_that_has_some_is_pending():
    records = [("d", "a.jpg", "i1"), ("d", "b.jpg", "i2"), ("d", "c.jpg", "i3"), ("e", "c.jpg", "i3")]
    boxes = [("boxes-sam", "i1", 0), ("boxes-sam", "i1", 1), ("boxes-sam", "i2", 0), ("boxes-other", "i3", 0)]
    found = coverage(records, [("k", "boxes-sam", "i1", 0), ("k", "boxes-sam", "i1", 1)], boxes=boxes)
    columns = "dataset scheme_id embedded tiles pending"
    assert rows(found, columns) == [("d", "boxes-sam", 1, 2, 1), ("e", None, 0, 0, 1)]


def test_other_schemes_do_not_ask_for_boxes():
    records = [("d", "a.jpg", "i1"), ("d", "b.jpg", "i2")]
    found = coverage(records, [("k", "whole", "i1", 0)], boxes=[("boxes-sam", "i1", 0)])
    assert rows(found, "scheme_id embedded pending") == [("whole", 1, 1)]


def test_what_failed_at_its_boxes_is_not_pending():
    records = [("d", "a.jpg", "i1"), ("d", "b.jpg", "i2"), ("d", "c.jpg", "i3")]
    boxes, issues = [("boxes-sam", "i1", 0), ("boxes-sam", "i2", 0)], [("d", "b.jpg", "not_embedded:k:boxes-sam")]
    found = coverage(records, [("k", "boxes-sam", "i1", 0)], issues, boxes)
    assert rows(found, "embedded pending") == [(1, 0)]
