from lake_rows import day, frame, rows

from lake.query import answer


def keys(embeddings, records=(("d", "i1"), ("d", "i2")), specs=("k", "l")):
    frames = {
        "image_records": frame("dataset image_id", *records),
        "embeddings": frame("embedding_key scheme_id image_id embedded_at", *embeddings),
        "embedding_specs": frame(
            "embedding_key backbone weights_hash spec", *((key, "vit", "w", "{}") for key in specs)
        ),
    }
    found = answer(None, "training/embedding_keys", frames=frames, dataset="d", scheme_id="whole")
    return rows(found, "embedding_key image_count")


def test_the_key_with_the_most_images_comes_first():
    found = keys([("k", "whole", "i1", day(2)), ("l", "whole", "i1", day(1)), ("l", "whole", "i2", day(1))])
    assert found == [("l", 2), ("k", 1)]


def test_of_two_with_as_many_the_newer_comes_first():
    assert keys([("k", "whole", "i1", day(1)), ("l", "whole", "i1", day(2))]) == [("l", 1), ("k", 1)]


def test_an_image_of_several_tiles_counts_once():
    assert keys([("k", "whole", "i1", day(1)), ("k", "whole", "i1", day(1))]) == [("k", 1)]


def test_other_schemes_and_images_of_other_data_sets_do_not_count():
    assert keys([("k", "grid-2x2", "i1", day(1)), ("k", "whole", "i9", day(1))]) == []
