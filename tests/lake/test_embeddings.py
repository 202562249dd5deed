import numpy as np
import pytest
from lake_rows import day, filled, held
from own_processes import killed_after_append
from small_pictures import lay, picture
from taking_in import take_in

from lake import embeddings, tables
from lake.errors import CheckFailedError, LakeError
from lake.files.folder import FolderFiles
from lake.images import identity
from lake.sources.folder import FolderSource

KEY, SCHEME = "007", "grid-1x2"
CONTENTS = [picture(number) for number in range(4)]


@pytest.fixture
def stocked(lake, tmp_path):
    """Four photographs of one data set, none of them embedded."""
    files = {f"s1/{number}.jpg": content for number, content in enumerate(CONTENTS)}
    take_in(lake, "d", FolderSource(FolderFiles(lay(tmp_path / "photographs", files))), images_in_shard=2)
    return lake


def embed(lake, images, planned_on):
    """Append two tiles of two numbers for each image, as an encoder would."""
    ids = [image.image_id for image in images for _ in range(2)]
    count, indices = len(ids), [0, 1] * len(images)
    zeros = [0] * count
    tiles = {"image_id": ids, "tile_index": indices, "tile_row": zeros, "tile_column": indices}
    corners = dict.fromkeys(("x0", "y0", "x1", "y1"), zeros)
    values = np.array([[int(image_id[:4], 16), tile] for image_id, tile in zip(ids, indices, strict=True)], np.float32)
    vectors = {"cls": values, "mean_patch": -values}
    return embeddings.append_vectors(lake, KEY, SCHEME, {**tiles, **corners}, vectors, planned_on, "run")


def embed_all(lake, in_shard=1):
    """Embed what waits, shard by shard, as the flow does."""
    (planned_on,) = tables.latest(lake, "embeddings")
    waiting = embeddings.pending(lake, "d", KEY, SCHEME)
    for start in range(0, len(waiting), in_shard):
        planned_on = embed(lake, waiting[start : start + in_shard], planned_on).snapshot
    return len(waiting)


def test_all_photographs_wait_at_first_and_none_when_they_are_embedded(stocked):
    assert {image.image_id for image in embeddings.pending(stocked, "d", KEY, SCHEME)} == set(map(identity, CONTENTS))
    assert embed_all(stocked, in_shard=3) == 4
    assert embeddings.pending(stocked, "d", KEY, SCHEME) == []
    assert len(embeddings.pending(stocked, "d", KEY, "whole")) == 4
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_a_data_set_that_is_not_there_is_told_which_are(stocked):
    with pytest.raises(LakeError, match=r"no photograph of a data set 'e' .*; data sets: d\. .*taxalake ingest"):
        embeddings.pending(stocked, "e", KEY, SCHEME)
    assert embeddings.require_dataset(stocked, "d") == 4


def test_a_data_set_of_which_everything_was_set_aside_has_no_photograph(lake, tmp_path):
    take_in(lake, "d", FolderSource(FolderFiles(lay(tmp_path / "photographs", {"s1/a.jpg": b""}))))
    with pytest.raises(LakeError, match="no photograph of a data set 'd'"):
        embeddings.require_dataset(lake, "d")


def test_bytes_are_read_as_they_were_found_and_in_the_order_asked(stocked):
    (images,) = tables.latest(stocked, "images")
    wanted = embeddings.pending(stocked, "d", KEY, SCHEME)[::-1][:3]
    found = embeddings.read_bytes(stocked, images, wanted)
    assert list(found) == [image.image_id for image in wanted]
    assert all(identity(content) == image_id for image_id, content in found.items())
    assert embeddings.images_of(stocked, images, list(found)[:1]) == dict(list(found.items())[:1])


def test_vectors_come_back_as_they_went_in(stocked):
    snapshot = embed(
        stocked, embeddings.pending(stocked, "d", KEY, SCHEME), *tables.latest(stocked, "embeddings")
    ).snapshot
    ids = sorted(map(identity, CONTENTS))
    found = embeddings.read_vectors(stocked, snapshot, KEY, SCHEME, ids, ["cls", "mean_patch"])
    assert found.image_ids == [image_id for image_id in ids for _ in range(2)]
    assert found.tile_indices.tolist() == [0, 1] * 4
    assert found.poolings["cls"].dtype == np.float32
    assert found.poolings["cls"][:, 0].tolist() == [int(image_id[:4], 16) for image_id in found.image_ids]
    assert np.array_equal(found.poolings["mean_patch"], -found.poolings["cls"])


@pytest.mark.parametrize("asked", [("007", "whole"), ("7", "grid-1x2"), ("8", "grid-1x2")])
def test_vectors_of_another_key_or_scheme_are_not_read(stocked, asked):
    embed_all(stocked, in_shard=4)
    (snapshot,) = tables.latest(stocked, "embeddings")
    found = embeddings.read_vectors(stocked, snapshot, *asked, [identity(CONTENTS[0])], ["cls"])
    assert (found.image_ids, found.poolings["cls"].shape) == ([], (0, 0))


def test_vectors_are_appended_once_even_when_they_were_planned_on_an_old_version(stocked):
    waiting = embeddings.pending(stocked, "d", KEY, SCHEME)
    (planned_on,) = tables.latest(stocked, "embeddings")
    assert embed(stocked, waiting, planned_on).row_count == 8
    assert embed(stocked, waiting, planned_on).row_count == 0


def test_an_embedding_that_is_killed_goes_on_where_it_was(stocked):
    assert killed_after_append(embed_all, (stocked,), "embeddings", 2)
    assert embed_all(stocked) == 2
    tiles = held(stocked, "embeddings", "image_id tile_index")
    assert tiles == sorted((identity(content), tile) for content in CONTENTS for tile in (0, 1))
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_what_could_not_be_embedded_is_set_aside_with_its_reason_and_not_tried_again(stocked):
    waiting = embeddings.pending(stocked, "d", KEY, SCHEME)
    failed, fine = waiting[0], waiting[1:]
    embed(stocked, fine, *tables.latest(stocked, "embeddings"))
    with pytest.raises(CheckFailedError, match="every image is embedded or set aside: 1 offenders"):
        embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)
    for expected in (1, 0):
        failures = {failed.image_id: "OSError: no"}
        assert embeddings.set_aside(stocked, "d", KEY, SCHEME, failures, waiting, "run").row_count == expected
    assert held(stocked, "ingest_issues", "image_name kind detail") == [
        (failed.image_name, f"not_embedded:{KEY}:{SCHEME}", "OSError: no")
    ]
    assert embeddings.pending(stocked, "d", KEY, SCHEME) == []
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_nothing_to_set_aside_is_no_commit(stocked):
    assert embeddings.set_aside(stocked, "d", KEY, SCHEME, {}, [], "run").row_count == 0


def test_a_spec_is_recorded_once_beside_its_key(stocked):
    spec = {"embedding_key": KEY, "backbone": "vit", "weights_hash": "w", "dimension": 2, "spec": '{"dtype":"float32"}'}
    for expected in (1, 0):
        assert embeddings.append_spec(stocked, spec, "run").row_count == expected
    assert embeddings.known_keys(stocked, "d", SCHEME) == []
    embed_all(stocked, in_shard=4)
    (known,) = embeddings.known_keys(stocked, "d", SCHEME)
    assert (known.embedding_key, known.image_count, known.backbone, known.dtype) == (KEY, 4, "vit", "float32")


def test_bytes_of_images_that_were_taken_in_at_other_times_are_not_mistaken(lake):
    columns = "image_id bytes ingested_at"
    tables.append(
        lake, "images", filled("images", columns, ("i1", b"1", day(1)), ("i2", b"2", day(2)), ("i3", b"3", day(3)))
    )
    (images,) = tables.latest(lake, "images")
    wanted = [embeddings.PendingImage(one, "", 1, day(when)) for one, when in (("i3", 3), ("i1", 1))]
    assert embeddings.read_bytes(lake, images, wanted) == {"i3": b"3", "i1": b"1"}


def test_only_photographs_of_the_observations_that_matter_wait(stocked):
    waiting = embeddings.pending(stocked, "d", KEY, SCHEME, among=["s1/2.jpg"])
    assert [image.image_name for image in waiting] == ["s1/2.jpg"]
    assert embeddings.pending(stocked, "d", KEY, SCHEME, among=[]) == []


def test_a_shard_holds_as_many_photographs_and_bytes_as_fit():
    images = [embeddings.PendingImage(f"i{number}", "", 10, day(1)) for number in range(5)]
    assert [len(shard) for shard in embeddings.shards(images, 2)] == [2, 2, 1]
    assert [len(shard) for shard in embeddings.shards(images, 100, most_bytes=25)] == [2, 2, 1]
    assert [len(shard) for shard in embeddings.shards(images, 100, most_bytes=5)] == [1] * 5
    assert [image for shard in embeddings.shards(images, 2) for image in shard] == images
    assert embeddings.shards([], 2) == []


def test_images_are_counted_that_have_vectors_under_a_key_and_scheme(stocked):
    spec = {"embedding_key": KEY, "backbone": "vit", "weights_hash": "w", "dimension": 2, "spec": "{}"}
    embeddings.append_spec(stocked, spec, "run")
    assert embeddings.embedded_count(stocked, "d", KEY, SCHEME) == 0
    embed_all(stocked, in_shard=4)
    assert embeddings.embedded_count(stocked, "d", KEY, SCHEME) == 4
    assert embeddings.embedded_count(stocked, "d", KEY, "whole") == 0


def test_what_failed_at_one_tiling_is_tried_at_another(stocked):
    waiting = embeddings.pending(stocked, "d", KEY, SCHEME)
    embeddings.set_aside(stocked, "d", KEY, SCHEME, {waiting[0].image_id: "OSError: no"}, waiting, "run")
    assert waiting[0] not in embeddings.pending(stocked, "d", KEY, SCHEME)
    assert waiting[0] in embeddings.pending(stocked, "d", KEY, "whole")
