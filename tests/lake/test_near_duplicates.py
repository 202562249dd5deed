import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from lake_rows import day, filled, held, rows
from own_processes import at_once
from PIL import Image, ImageEnhance, ImageOps
from small_pictures import cut, picture

from lake import blobs, embeddings, near_duplicates, tables
from lake.errors import LakeError
from lake.near_duplicates import MOST_BITS, perceptual_hash

_ORIENTATION = 0x0112


def scene(seed, size=(320, 240)):
    """A picture with large and small shapes in it, unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def distance(one, other):
    return ((perceptual_hash(one) ^ perceptual_hash(other)) % 2**64).bit_count()


def stock(lake, contents, dataset="d", in_files=False):
    """Put pictures on record, each under its number, and return their ids."""
    ids = [hashlib.sha256(content).hexdigest() for content in contents]
    new = dict(zip(ids, contents, strict=True))
    images = [
        (one, None if in_files else content, blobs.put(lake, one, content) if in_files else None, len(content))
        for one, content in new.items()
    ]
    records = [(dataset, f"{number}.jpg", image, f"o{number}") for number, image in enumerate(ids)]
    tables.append(lake, "images", filled("images", "image_id bytes blob_uri byte_count", *images))
    tables.append(
        lake, "image_records", filled("image_records", "dataset image_name image_id observation_id", *records)
    )
    return ids


def hash_all(lake, dataset="d", on_image=lambda _: None):
    with ThreadPoolExecutor(2) as pool:
        return near_duplicates.hash_pending(lake, dataset, pool, "run", on_image)


def hash_alone(lake):
    hash_all(lake)


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: encoded(image.resize((160, 120))),
        lambda image: encoded(image, "JPEG", quality=60),
        lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
        lambda image: encoded(image.crop((5, 4, 315, 236))),
        lambda image: encoded(image.resize((2560, 1920)), "JPEG"),  # decoded at an eighth
        lambda image: encoded(image.convert("RGBA")),
        lambda image: encoded(image.convert("L")),
        lambda image: encoded(image.convert("P", palette=Image.Palette.ADAPTIVE)),
    ],
    ids=["half", "jpeg", "brighter", "cropped", "large", "with alpha", "grey", "palette"],
)
def test_a_copy_is_near_and_another_picture_is_not(copy):
    for seed in range(5):
        assert distance(encoded(scene(seed)), copy(scene(seed))) <= MOST_BITS
        assert distance(encoded(scene(seed)), copy(scene(seed + 1))) > 2 * MOST_BITS


def test_a_photograph_is_hashed_as_it_is_seen():
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    lying = scene(1).transpose(Image.Transpose.ROTATE_90)
    assert distance(encoded(scene(1), "JPEG", quality=95), encoded(lying, "JPEG", quality=95, exif=exif)) <= 2
    on_nothing = scene(1).convert("RGBA")
    on_nothing.putalpha(ImageOps.invert(scene(2).convert("L")).point(lambda value: 255 * (value > 128)))
    on_white = Image.alpha_composite(Image.new("RGBA", on_nothing.size, "white"), on_nothing)
    assert distance(encoded(on_nothing), encoded(on_white.convert("RGB"))) == 0


def test_sixteen_bits_of_grey_are_hashed_like_eight():
    grey = scene(1).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert perceptual_hash(encoded(deep)) == perceptual_hash(encoded(grey))


def test_each_image_is_hashed_once(lake):
    contents = [encoded(scene(seed)) for seed in range(3)]
    ids = stock(lake, [*contents, contents[0]])
    told = []
    done = hash_all(lake, on_image=told.append)
    assert (done.image_count, done.byte_count, done.failed, sum(told)) == (3, sum(map(len, contents)), (), 3)
    expected = {image: perceptual_hash(content) for image, content in zip(ids, contents, strict=False)}
    assert dict(held(lake, "perceptual_hashes", "image_id phash")) == expected
    assert hash_all(lake).image_count == 0
    assert tables.latest(lake, "perceptual_hashes")[0].version == 1


def test_a_photograph_in_a_file_of_its_own_is_hashed_too(lake):
    (image,) = stock(lake, [encoded(scene(1))], in_files=True)
    hash_all(lake)
    assert held(lake, "perceptual_hashes", "image_id phash") == [(image, perceptual_hash(encoded(scene(1))))]


def test_one_commit_holds_a_shard(lake, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_MOST_IMAGES", 2)
    stock(lake, [picture(number) for number in range(5)])
    assert hash_all(lake).image_count == 5
    assert tables.latest(lake, "perceptual_hashes")[0].version == 3


def test_photographs_that_are_not_read_together_are_hashed_in_one_commit(lake, monkeypatch):
    monkeypatch.setattr(embeddings, "_READ_BYTES", 1)
    contents = [encoded(scene(seed)) for seed in range(3)]
    expected = dict(zip(stock(lake, contents), map(perceptual_hash, contents), strict=True))
    assert hash_all(lake).byte_count == sum(map(len, contents))
    assert dict(held(lake, "perceptual_hashes", "image_id phash")) == expected
    assert tables.latest(lake, "perceptual_hashes")[0].version == 1


def test_an_image_that_cannot_be_decoded_is_noted_and_ends_nothing(lake):
    good, bad = stock(lake, [encoded(scene(1)), cut(encoded(scene(2)))])
    assert hash_all(lake).failed == (bad,)
    assert [image for (image,) in held(lake, "perceptual_hashes", "image_id")] == [good]
    assert held(lake, "ingest_issues", "image_name kind is_set_aside") == [("1.jpg", "not_hashed", False)]
    assert near_duplicates.pending(lake, "d") == []
    assert rows(near_duplicates.clusters(lake, "d")) == []


def test_two_who_hash_at_once_hash_each_image_once(lake):
    ids = stock(lake, [picture(number) for number in range(20)])
    assert at_once(hash_alone, (lake,), (lake,)) == [0, 0]
    assert [image for (image,) in held(lake, "perceptual_hashes", "image_id")] == sorted(ids)


def test_clusters_are_what_is_near_to_any_member(lake):
    hashes = [("a", 0b0), ("b", 0b1111), ("c", 0b11111111), ("d", -1), ("e", -1), ("f", 0x00FF00FF00FF00FF)]
    hashed = filled("perceptual_hashes", "image_id phash", *hashes)
    tables.append(lake, "perceptual_hashes", hashed)
    images = [(one, b"", 0, day(1)) for one, _ in hashes]
    tables.append(lake, "images", filled("images", "image_id bytes byte_count ingested_at", *images))
    records = [("d", f"{one}.jpg", one, one) for one, _ in hashes]
    tables.append(
        lake, "image_records", filled("image_records", "dataset image_name image_id observation_id", *records)
    )
    found = near_duplicates.clusters(lake, "d", 4)
    assert rows(found) == [("a", "a"), ("b", "a"), ("c", "a"), ("d", "d"), ("e", "d")]
    assert rows(near_duplicates.pairs(lake, "d", 4)) == [(0, 15, 4), (15, 255, 4)]
    assert rows(near_duplicates.clusters(lake, "d", 3)) == [("d", "d"), ("e", "d")]


def test_clusters_are_not_asked_for_before_all_are_hashed(lake):
    stock(lake, [picture(1), picture(2)])
    with pytest.raises(LakeError, match="2 of its images have no perceptual hash"):
        near_duplicates.clusters(lake, "d")


@pytest.mark.parametrize("most_bits", [-1, 8])
def test_more_bits_than_can_be_found_are_refused(lake, most_bits):
    with pytest.raises(LakeError, match=rf"up to {most_bits} of 64 bits .* 0 to 7 can be found"):
        near_duplicates.pairs(lake, "d", most_bits)


def test_real_seedlings_are_near_to_their_copies_and_to_no_other_plant(shared, lake):
    folder = shared / "plant-seedlings12"
    with (folder / "labels.csv").open(newline="") as file:
        contents = [(folder / row["path"]).read_bytes() for row in csv.DictReader(file)]
    copied = range(0, len(contents), 20)
    copies = [encoded(Image.open(BytesIO(contents[number])).convert("RGB"), "JPEG", quality=60) for number in copied]
    ids = stock(lake, [*contents, *copies])
    hash_all(lake)
    clusters = {}
    for image, cluster in rows(near_duplicates.clusters(lake, "d")):
        clusters.setdefault(cluster, set()).add(image)
    pairs = {frozenset((ids[number], ids[len(contents) + place])) for place, number in enumerate(copied)}
    found = set(map(frozenset, clusters.values()))
    assert pairs <= found
    # one seedling was photographed twice by the source itself
    assert len(found - pairs) == 1
