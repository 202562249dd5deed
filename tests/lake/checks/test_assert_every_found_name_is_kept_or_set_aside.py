from lake_rows import frame, offenders


def lost(found, records=(), issues=()):
    frames = {
        "found": frame("image_name", *((name,) for name in found)),
        "image_records": frame("dataset image_name", *records),
        "ingest_issues": frame("dataset image_name", *issues),
    }
    return offenders("every_found_name_is_kept_or_set_aside", frames, dataset="d")


def test_a_name_on_record_or_set_aside_is_not_lost():
    assert lost(["a.jpg", "b.jpg"], [("d", "a.jpg")], [("d", "b.jpg")]) == []


def test_a_name_that_is_neither_is_lost():
    assert lost(["a.jpg"]) == [("a.jpg",)]


def test_the_same_name_in_another_data_set_does_not_count():
    assert lost(["a.jpg", "b.jpg"], [("e", "a.jpg")], [("e", "b.jpg")]) == [("a.jpg",), ("b.jpg",)]
