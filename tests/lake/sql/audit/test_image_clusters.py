import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer


def clustered(hashes, joined=(), records=None):
    """Cluster images of (image_id, phash), whose hashes are joined by (phash, cluster_phash)."""
    frames = {
        "image_records": frame("dataset image_id", *(("d", image) for image in records or [one for one, _ in hashes])),
        "perceptual_hashes": frame("image_id phash", *hashes),
        "hash_clusters": pa.table(
            {
                "phash": pa.array([one for one, _ in joined], pa.int64()),
                "cluster_phash": pa.array([cluster for _, cluster in joined], pa.int64()),
            }
        ),
    }
    return rows(answer(None, "audit/image_clusters", frames=frames, dataset="d"))


def test_images_of_near_hashes_are_one_cluster_named_by_its_smallest():
    assert clustered([("b", 1), ("c", 2), ("a", 3)], [(1, 1), (2, 1), (3, 1)]) == [("a", "a"), ("b", "a"), ("c", "a")]


def test_images_of_the_same_hash_are_one_cluster_without_a_near_one():
    assert clustered([("a", 5), ("b", 5), ("c", 6)]) == [("a", "a"), ("b", "a")]


def test_an_image_alone_is_in_none():
    assert clustered([("a", 1)]) == []


def test_an_image_under_two_names_is_still_alone():
    assert clustered([("a", 1)], records=["a", "a"]) == []


def test_a_near_image_of_another_data_set_makes_no_cluster():
    assert clustered([("a", 1), ("b", 1)], records=["a"]) == []
