import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lake_rows import day, filled, frame, held
from own_processes import at_once, killed_after_append
from small_pictures import lay, picture
from taking_in import take_in

from lake import blobs, embeddings, tables
from lake.embeddings import PendingImage, VectorWriter
from lake.errors import CheckFailedError, LakeError
from lake.files.folder import FolderFiles
from lake.images import identity
from lake.sources.folder import FolderSource

KEY, SCHEME, OTHER = "007", "grid-1x2", "grid-2x1"
CONTENTS = [picture(number) for number in range(4)]
IDS = sorted(map(identity, CONTENTS))
EACH_TILE_ONCE = [(image_id, tile) for image_id in IDS for tile in (0, 1)]
SPEC = {"embedding_key": KEY, "backbone": "vit", "weights_hash": "w", "dimension": 2, "spec": '{"dtype":"float32"}'}
POOLINGS = ["cls", "mean_patch", "dct", "dct_published"]
TILES = " ".join(["image_id scheme_id tile_index tile_level tile_row tile_column x0 y0 x1 y1", *POOLINGS])


@pytest.fixture
def stocked(lake, tmp_path):
    """Four photographs of one data set, none of them embedded."""
    files = {f"s1/{number}.jpg": content for number, content in enumerate(CONTENTS)}
    take_in(lake, "d", FolderSource(FolderFiles(lay(tmp_path / "photographs", files))), images_in_shard=2)
    return lake


def tiles_of(images):
    """Two tiles of two numbers for each image under each of its schemes, as an encoder gives them."""
    rows = []
    for image in images:
        number = float(int(image.image_id[:4], 16))
        for scheme_id in image.scheme_ids:
            for tile in (0, 1):
                vectors = [[number, tile], [-number, -tile], [0.5], [1e5]]
                rows.append((image.image_id, scheme_id, tile, 1, 0, tile, 0, 0, 1, 1, *vectors))
    return frame(TILES, *rows)


def waiting(lake, *scheme_ids):
    return embeddings.pending(lake, "d", KEY, scheme_ids or (SCHEME,))


def writer_of(lake):
    return VectorWriter(lake, KEY, *tables.latest(lake, "embeddings"), "run")


def embed_all(lake, most_tiles=2, scheme_ids=(SCHEME,)):
    """Embed what waits, shard by shard, as the flow does, and return the number of tiles that were new."""
    writer = writer_of(lake)
    shards = embeddings.shards(waiting(lake, *scheme_ids), most_tiles, lambda image: 2 * len(image.scheme_ids))
    return sum(writer.append(tiles_of(shard)).row_count for shard in shards)


def set_aside(lake, *failures):
    embeddings.set_aside(lake, "d", KEY, dict.fromkeys(failures, "OSError: no"), waiting(lake, SCHEME, OTHER), "run")


def test_all_photographs_wait_at_first_and_none_when_they_are_embedded(stocked):
    assert sorted(image.image_id for image in waiting(stocked)) == IDS
    assert {(image.width_px, image.height_px) for image in waiting(stocked)} == {(24, 16)}
    assert embed_all(stocked, most_tiles=6) == 8
    assert waiting(stocked) == []
    assert len(waiting(stocked, "whole")) == 4
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_a_photograph_waits_once_with_all_the_schemes_that_it_lacks(stocked):
    first, second, *others = waiting(stocked, SCHEME, OTHER)
    assert {image.scheme_ids for image in (first, second, *others)} == {(SCHEME, OTHER)}
    writer_of(stocked).append(tiles_of([replace(first, scheme_ids=(SCHEME,))]))
    writer_of(stocked).append(tiles_of([second]))
    lacking = {image.image_id: image.scheme_ids for image in waiting(stocked, SCHEME, OTHER)}
    assert lacking == {first.image_id: (OTHER,), **{image.image_id: (SCHEME, OTHER) for image in others}}
    assert waiting(stocked, SCHEME) == [replace(image, scheme_ids=(SCHEME,)) for image in others]


def test_photographs_of_several_schemes_wait_in_the_order_in_which_they_lie_in_the_files(stocked):
    images = waiting(stocked, SCHEME)
    embeddings.set_aside(stocked, "d", KEY, {(images[0].image_id, SCHEME): "no"}, images, "run")
    again = waiting(stocked, SCHEME, OTHER)
    assert [image.image_id for image in again] == [image.image_id for image in images]
    assert [(image.ingested_at, image.image_id) for image in again] == sorted(
        (image.ingested_at, image.image_id) for image in images
    )


def test_a_data_set_that_is_not_there_is_told_which_are(stocked):
    with pytest.raises(LakeError, match=r"no photograph of a data set 'e' .*; data sets: d\. .*taxalake ingest"):
        embeddings.pending(stocked, "e", KEY, [SCHEME])
    assert embeddings.require_dataset(stocked, "d") == 4


def test_a_data_set_of_which_everything_was_set_aside_has_no_photograph(lake, tmp_path):
    take_in(lake, "d", FolderSource(FolderFiles(lay(tmp_path / "photographs", {"s1/a.jpg": b""}))))
    with pytest.raises(LakeError, match="no photograph of a data set 'd'"):
        embeddings.require_dataset(lake, "d")


def test_bytes_are_read_as_they_were_found_and_of_those_alone_that_are_asked(stocked):
    (images,) = tables.latest(stocked, "images")
    wanted = waiting(stocked)[::-1][:3]
    found = list(embeddings.read_bytes(stocked, images, wanted))
    assert {image.image_id for image, _ in found} == {image.image_id for image in wanted}
    assert len(found) == 3
    assert all(identity(content) == image.image_id for image, content in found)
    first, content = found[0]
    assert embeddings.images_of(stocked, images, [first.image_id]) == {first.image_id: content}


def test_bytes_of_images_that_were_taken_in_at_other_times_are_not_mistaken(lake):
    columns = "image_id bytes ingested_at"
    tables.append(
        lake, "images", filled("images", columns, ("i1", b"1", day(1)), ("i2", b"2", day(2)), ("i3", b"3", day(3)))
    )
    (images,) = tables.latest(lake, "images")
    wanted = [PendingImage(one, "", 1, day(when)) for one, when in (("i3", 3), ("i1", 1))]
    assert dict(embeddings.read_bytes(lake, images, wanted)) == dict(zip(wanted, (b"3", b"1"), strict=True))


def test_a_photograph_that_is_not_in_the_table_is_an_error(lake):
    tables.append(lake, "images", filled("images", "image_id bytes ingested_at", ("i1", b"1", day(1))))
    (images,) = tables.latest(lake, "images")
    with pytest.raises(LakeError, match=r"2 photographs were asked of images@\d+, but 1 of them"):
        list(embeddings.read_bytes(lake, images, [PendingImage(one, "", 1, day(1)) for one in ("i1", "i2")]))


@pytest.mark.parametrize(("most_bytes", "sizes"), [(20, [2, 2, 1]), (10, [1] * 5), (5, [1] * 5), (51, [5])])
def test_as_many_photographs_are_read_together_as_their_bytes_allow(lake, monkeypatch, most_bytes, sizes):
    monkeypatch.setattr(embeddings, "_READ_BYTES", most_bytes)
    contents = [(f"i{number}", bytes([number] * 10)) for number in range(5)]
    tables.append(lake, "images", filled("images", "image_id bytes", *contents))
    (images,) = tables.latest(lake, "images")
    wanted = [PendingImage(image_id, "", len(content), day(1)) for image_id, content in contents]
    pieces = list(embeddings.read_pieces(lake, images, wanted))
    assert [len(piece) for piece in pieces] == sizes
    assert [(image.image_id, content) for piece in pieces for image, content in piece] == contents


def test_no_photographs_have_no_bytes(lake):
    (images,) = tables.latest(lake, "images")
    assert list(embeddings.read_bytes(lake, images, [])) == []


def test_photographs_are_read_no_further_ahead_than_the_next_ones(lake, monkeypatch):
    monkeypatch.setattr(embeddings, "_READ_BYTES", 1)
    ids = [identity(content) for content in CONTENTS]
    rows = [(one, None, blobs.put(lake, one, content)) for one, content in zip(ids, CONTENTS, strict=True)]
    tables.append(lake, "images", filled("images", "image_id bytes blob_uri", *rows))
    (images,) = tables.latest(lake, "images")
    opened = []
    get = blobs.get
    monkeypatch.setattr(blobs, "get", lambda lake, image_id, uri: opened.append(image_id) or get(lake, image_id, uri))
    pieces = embeddings.read_pieces(lake, images, [PendingImage(one, "", 9, day(1)) for one in ids])
    assert len(next(pieces)) == 1
    # The second may be on its way.
    assert len(opened) <= 2 < len(ids)
    assert len(list(pieces)) == len(ids) - 1
    assert opened == ids


def test_a_photograph_whose_file_is_gone_is_an_error_that_names_it(lake, monkeypatch):
    monkeypatch.setattr(embeddings, "_READ_BYTES", 1)
    ids = [identity(content) for content in CONTENTS]
    uris = [blobs.put(lake, image_id, content) for image_id, content in zip(ids, CONTENTS, strict=True)]
    rows = [(image_id, None, uri) for image_id, uri in zip(ids, uris, strict=True)]
    tables.append(lake, "images", filled("images", "image_id bytes blob_uri", *rows))
    (images,) = tables.latest(lake, "images")
    (Path(lake.root) / uris[1]).unlink()
    pieces = embeddings.read_pieces(lake, images, [PendingImage(image_id, "", 9, day(1)) for image_id in ids])
    assert next(pieces) == [(PendingImage(ids[0], "", 9, day(1)), CONTENTS[0])]
    with pytest.raises(LakeError, match=ids[1]):
        next(pieces)


def test_vectors_come_back_as_they_went_in(stocked):
    embed_all(stocked, 8)
    (snapshot,) = tables.latest(stocked, "embeddings")
    found = embeddings.read_vectors(stocked, snapshot, KEY, SCHEME, IDS, POOLINGS)
    assert found.image_ids == [image_id for image_id in IDS for _ in range(2)]
    assert found.tile_indices.tolist() == [0, 1] * 4
    assert {matrix.dtype for matrix in found.poolings.values()} == {np.dtype(np.float32)}
    assert found.poolings["cls"][:, 0].tolist() == [int(image_id[:4], 16) for image_id in found.image_ids]
    assert np.array_equal(found.poolings["mean_patch"], -found.poolings["cls"])
    assert [found.poolings[pooling].tolist() for pooling in POOLINGS[2:]] == [[[0.5]] * 8, [[1e5]] * 8]


@pytest.mark.parametrize("asked", [("007", "whole"), ("7", "grid-1x2"), ("8", "grid-1x2")])
def test_vectors_of_another_key_or_scheme_are_not_read(stocked, asked):
    embed_all(stocked, 8)
    (snapshot,) = tables.latest(stocked, "embeddings")
    found = embeddings.read_vectors(stocked, snapshot, *asked, IDS, ["cls"])
    assert (found.image_ids, found.poolings["cls"].shape) == ([], (0, 0))


def matrix_of(lake, image_ids, poolings, scheme_ids=(SCHEME,), key=KEY):
    """Find the tiles of images, read their vectors into a matrix, and return both."""
    (snapshot,) = tables.latest(lake, "embeddings")
    tiles = embeddings.tiles_of(lake, snapshot, key, scheme_ids, image_ids, poolings)
    matrix = np.full((len(tiles), sum(tiles.lengths.values())), np.nan, np.float32)
    embeddings.read_into(matrix, lake, snapshot, key, tiles)
    return tiles, matrix


def number_of(image_id):
    return int(image_id[:4], 16)


def test_tiles_stand_in_the_order_of_the_images_that_were_asked_for(stocked):
    embed_all(stocked, 2, (SCHEME, OTHER))
    asked = [IDS[2], IDS[0], IDS[3]]
    tiles, _ = matrix_of(stocked, asked, ["cls"], (OTHER, SCHEME))
    found = list(zip(tiles.image_ids, tiles.scheme_ids, tiles.tile_indices.tolist(), strict=True))
    assert found == [(image_id, scheme, tile) for image_id in asked for scheme in (SCHEME, OTHER) for tile in (0, 1)]
    assert len(tiles) == 12


def test_each_row_of_the_matrix_holds_the_poolings_of_its_tile_side_by_side(stocked, monkeypatch):
    monkeypatch.setattr(embeddings, "_ROWS_AT_ONCE", 3)
    embed_all(stocked, 4)
    asked = [IDS[3], IDS[1], IDS[0], IDS[2]]
    tiles, matrix = matrix_of(stocked, asked, ["dct", "mean_patch", "cls"])
    assert tiles.lengths == {"dct": 1, "mean_patch": 2, "cls": 2}
    expected = [[0.5, -number_of(one), -tile, number_of(one), tile] for one in asked for tile in (0, 1)]
    assert matrix.tolist() == expected


def test_vectors_are_read_alike_into_a_matrix_that_is_mapped_from_a_file(stocked, tmp_path):
    embed_all(stocked)
    tiles, expected = matrix_of(stocked, IDS, ["cls"])
    mapped = np.memmap(tmp_path / "features.f32", np.float32, "w+", shape=expected.shape)
    embeddings.read_into(mapped, stocked, *tables.latest(stocked, "embeddings"), KEY, tiles)
    mapped.flush()
    assert np.array_equal(np.fromfile(tmp_path / "features.f32", np.float32), expected.ravel())


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_is_not_finite_is_an_error_that_names_its_tile(stocked, odd):
    tiles = tiles_of(waiting(stocked)).to_pylist()
    tiles[3]["mean_patch"] = [1.0, odd]
    writer_of(stocked).append(frame(TILES, *(tuple(tile.values()) for tile in tiles)))
    where = rf"image {tiles[3]['image_id']} \({SCHEME}, tile 1\) under the embedding key {KEY} holds NaN or infinity"
    with pytest.raises(LakeError, match=f"the mean_patch of {where}"):
        matrix_of(stocked, IDS, ["cls", "mean_patch"])
    assert len(matrix_of(stocked, IDS, ["cls"])[0]) == 8


def test_images_without_vectors_have_no_tiles(stocked):
    first, second, *_ = waiting(stocked)
    writer_of(stocked).append(tiles_of([first]))
    tiles, _ = matrix_of(stocked, [second.image_id, first.image_id, "unknown"], ["cls"])
    assert tiles.image_ids == [first.image_id] * 2


@pytest.mark.parametrize(("image_ids", "scheme", "key"), [(IDS, "whole", KEY), (IDS, SCHEME, "7"), ([], SCHEME, KEY)])
def test_where_there_are_no_tiles_the_matrix_is_empty(stocked, image_ids, scheme, key):
    embed_all(stocked)
    tiles, matrix = matrix_of(stocked, image_ids, ["cls", "dct"], (scheme,), key)
    assert (len(tiles), matrix.size) == (0, 0)


def test_tiles_are_those_of_the_version_that_is_asked(stocked):
    (before,) = tables.latest(stocked, "embeddings")
    first, second, *_ = waiting(stocked)
    writer_of(stocked).append(tiles_of([first]))
    (then,) = tables.latest(stocked, "embeddings")
    writer_of(stocked).append(tiles_of([second]))
    asked = [second.image_id, first.image_id]
    found = [embeddings.tiles_of(stocked, snapshot, KEY, [SCHEME], asked, ["cls"]) for snapshot in (before, then)]
    assert [tiles.image_ids for tiles in found] == [[], [first.image_id] * 2]


def test_the_vectors_of_a_shard_are_one_commit_under_all_schemes(stocked):
    assert embed_all(stocked, 4 * 2 * 2, (SCHEME, OTHER)) == 16
    assert tables.latest(stocked, "embeddings")[0].version == 1
    expected = sorted((image_id, scheme, tile) for image_id in IDS for scheme in (SCHEME, OTHER) for tile in (0, 1))
    assert held(stocked, "embeddings", "image_id scheme_id tile_index") == expected


def test_vectors_that_others_have_written_since_the_work_was_planned_are_not_written_again(stocked):
    first, second = writer_of(stocked), writer_of(stocked)
    images = waiting(stocked)
    assert first.append(tiles_of(images[:2])).row_count == 4
    assert second.append(tiles_of(images[1:])).row_count == 4
    assert first.append(tiles_of(images[2:])).row_count == 0
    assert held(stocked, "embeddings", "image_id tile_index") == EACH_TILE_ONCE


def test_shards_that_are_written_by_several_threads_are_all_there_once(stocked):
    writer, images = writer_of(stocked), waiting(stocked, SCHEME, OTHER)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda image: writer.append(tiles_of([image])), images))
    assert [one.row_count for one in done] == [4] * 4
    assert tables.latest(stocked, "embeddings")[0].version == 4
    assert len(held(stocked, "embeddings", "image_id scheme_id tile_index")) == 16


def test_two_who_embed_at_once_leave_each_tile_once(stocked):
    assert at_once(embed_all, (stocked, 2), (stocked, 4)) == [0, 0]
    assert held(stocked, "embeddings", "image_id tile_index") == EACH_TILE_ONCE


def test_an_embedding_that_is_killed_goes_on_where_it_was(stocked):
    assert killed_after_append(embed_all, (stocked,), "embeddings", 2)
    assert embed_all(stocked) == 4
    assert held(stocked, "embeddings", "image_id tile_index") == EACH_TILE_ONCE
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_what_could_not_be_embedded_is_set_aside_with_its_reason_and_not_tried_again(stocked):
    failed, *fine = waiting(stocked)
    writer_of(stocked).append(tiles_of(fine))
    with pytest.raises(CheckFailedError, match="every image is embedded or set aside: 1 offenders"):
        embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)
    for _ in range(2):
        set_aside(stocked, (failed.image_id, SCHEME))
        assert held(stocked, "ingest_issues", "image_name kind detail") == [
            (failed.image_name, f"not_embedded:{KEY}:{SCHEME}", "OSError: no")
        ]
        assert waiting(stocked) == []
    embeddings.check_all_embedded(stocked, "d", KEY, SCHEME)


def test_what_failed_under_one_scheme_is_set_aside_under_that_one_alone(stocked):
    first, second, *_ = waiting(stocked)
    set_aside(stocked, (first.image_id, SCHEME), (second.image_id, SCHEME), (second.image_id, OTHER))
    assert held(stocked, "ingest_issues", "image_name kind") == sorted(
        [
            (first.image_name, f"not_embedded:{KEY}:{SCHEME}"),
            (second.image_name, f"not_embedded:{KEY}:{SCHEME}"),
            (second.image_name, f"not_embedded:{KEY}:{OTHER}"),
        ]
    )
    lacking = {image.image_id: image.scheme_ids for image in waiting(stocked, SCHEME, OTHER)}
    assert (lacking[first.image_id], second.image_id in lacking) == ((OTHER,), False)
    assert first.image_id in {image.image_id for image in waiting(stocked, "whole")}


def test_nothing_to_set_aside_is_no_commit(stocked):
    before = tables.latest(stocked, "ingest_issues")
    set_aside(stocked)
    assert tables.latest(stocked, "ingest_issues") == before


def test_a_spec_is_recorded_once_beside_its_key(stocked):
    for expected in (1, 0):
        assert embeddings.append_spec(stocked, SPEC, "run").row_count == expected
    assert embeddings.known_keys(stocked, "d", SCHEME) == []
    embed_all(stocked)
    (known,) = embeddings.known_keys(stocked, "d", SCHEME)
    assert (known.embedding_key, known.image_count, known.backbone, known.spec) == (KEY, 4, "vit", SPEC["spec"])


def test_a_spec_is_found_by_its_key_with_what_was_measured(lake):
    assert embeddings.recorded_spec(lake, KEY) is None
    measured = {"embedding_key": "fast", "spec": json.dumps({"dtype": "bfloat16"}), "cosine_to_float32": 0.5}
    embeddings.append_spec(lake, {**SPEC, **measured}, "run")
    embeddings.append_spec(lake, SPEC, "run")
    assert embeddings.recorded_spec(lake, "fast").items() >= measured.items()
    assert embeddings.recorded_spec(lake, KEY).items() >= {**SPEC, "cosine_to_float32": None}.items()


def test_only_photographs_of_the_observations_that_matter_are_kept(stocked):
    images = waiting(stocked)
    kept = embeddings.of_observations(stocked, "d", images, ["s1/2.jpg"])
    assert [image.image_name for image in kept] == ["s1/2.jpg"]
    assert embeddings.of_observations(stocked, "d", images, []) == []
    every = [f"s1/{number}.jpg" for number in (3, 1, 0, 2)]
    assert embeddings.of_observations(stocked, "d", images, every) == images
    assert embeddings.of_observations(stocked, "d", images[:1], every) == images[:1]


def test_a_shard_holds_as_many_tiles_as_are_committed_together():
    images = [
        PendingImage(f"i{number}", "", 10, day(1), 4, 3, ("whole", "grid-2x2")[: 1 + number % 2]) for number in range(5)
    ]

    def tiles(image):
        return 1 if len(image.scheme_ids) == 1 else 5

    for most, sizes in ((1, [1, 1, 1, 1, 1]), (6, [2, 2, 1]), (7, [3, 2]), (12, [4, 1]), (13, [5])):
        shards = embeddings.shards(images, most, tiles)
        assert [len(shard) for shard in shards] == sizes
        assert [image for shard in shards for image in shard] == images
    assert embeddings.shards([], 2, tiles) == []


def test_images_are_counted_that_have_vectors_under_a_key_and_scheme(stocked):
    embeddings.append_spec(stocked, SPEC, "run")
    assert embeddings.embedded_count(stocked, "d", KEY, SCHEME) == 0
    embed_all(stocked)
    assert embeddings.embedded_count(stocked, "d", KEY, SCHEME) == 4
    assert embeddings.embedded_count(stocked, "d", KEY, "whole") == 0
