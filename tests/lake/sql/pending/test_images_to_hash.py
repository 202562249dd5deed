from lake_rows import day, frame, rows

from lake.query import answer


def pending(records, images, hashed=(), issues=()):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "images": frame("image_id byte_count ingested_at", *images),
        "perceptual_hashes": frame("image_id", *hashed),
        "ingest_issues": frame("dataset image_name kind", *issues),
    }
    return rows(answer(None, "pending/images_to_hash", frames=frames, dataset="d"))


def test_an_image_without_a_hash_waits():
    assert pending([("d", "a.jpg", "i1")], [("i1", 9, day(1))]) == [("i1", "a.jpg", 9, day(1))]


def test_an_image_with_a_hash_does_not_wait():
    assert pending([("d", "a.jpg", "i1")], [("i1", 9, day(1))], hashed=[("i1",)]) == []


def test_an_image_under_two_names_waits_once():
    found = pending([("d", "b.jpg", "i1"), ("d", "a.jpg", "i1")], [("i1", 9, day(1))])
    assert found == [("i1", "a.jpg", 9, day(1))]


def test_an_image_of_another_data_set_does_not_wait():
    assert pending([("e", "a.jpg", "i1")], [("i1", 9, day(1))]) == []


def test_an_image_that_could_not_be_hashed_is_not_tried_again_under_whichever_name():
    records = ("d", "b.jpg", "i1"), ("d", "a.jpg", "i1")
    assert pending(records, [("i1", 9, day(1))], issues=[("d", "b.jpg", "not_hashed")]) == []
    assert len(pending(records, [("i1", 9, day(1))], issues=[("d", "b.jpg", "truncated")])) == 1


def test_images_wait_in_the_order_in_which_they_lie():
    records = ("d", "a.jpg", "i1"), ("d", "b.jpg", "i2"), ("d", "c.jpg", "i3")
    found = pending(records, [("i1", 9, day(2)), ("i3", 9, day(1)), ("i2", 9, day(1))])
    assert [row[0] for row in found] == ["i2", "i3", "i1"]
