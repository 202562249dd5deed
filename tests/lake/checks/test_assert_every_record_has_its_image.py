from lake_rows import frame, offenders


def without_image(records, images):
    frames = {
        "image_records": frame("dataset image_name image_id", *records),
        "images": frame("image_id", *((one,) for one in images)),
    }
    return offenders("every_record_has_its_image", frames, dataset="d")


def test_a_record_without_its_content_is_found():
    assert without_image([("d", "a.jpg", "i1"), ("d", "b.jpg", "i2")], ["i1"]) == [("b.jpg", "i2")]


def test_records_of_other_data_sets_are_not_asked():
    assert without_image([("e", "a.jpg", "i1")], []) == []
