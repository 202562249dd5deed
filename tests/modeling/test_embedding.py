from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_photographs import encoded, noise, plain
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from modeling import backbones
from modeling.backbones import POOLINGS, Backbone
from modeling.embedding import EmbeddedTiles, EncodedImage, embed
from modeling.preprocess import Pixels
from modeling.tiling import Grid

WHOLE = Grid(1, 1)
PHOTOGRAPHS = [EncodedImage(f"p{seed}", encoded(noise(seed, 90 + seed, 100 - seed))) for seed in range(4)]


def vectors_of(embedded: EmbeddedTiles) -> dict[tuple[str, int], np.ndarray]:
    """Return (image_id, tile_index) to both poolings side by side."""
    joined = np.concatenate([embedded.vectors[pooling] for pooling in POOLINGS], axis=1)
    keys = [(image_id, tile.index) for image_id, tile in zip(embedded.image_ids, embedded.tiles, strict=True)]
    return dict(zip(keys, joined, strict=True))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


@pytest.fixture(scope="module")
def one_by_one(backbone: Backbone) -> dict[tuple[str, int], np.ndarray]:
    return vectors_of(embed(PHOTOGRAPHS, backbone, Grid(1, 2), batch_size=1, threads=1))


@pytest.mark.parametrize(("batch_size", "threads"), [(3, 1), (7, 4), (64, 2)])
def test_vectors_do_not_depend_on_batches_or_threads(
    backbone: Backbone, one_by_one: dict[tuple[str, int], np.ndarray], batch_size: int, threads: int
):
    found = vectors_of(embed(PHOTOGRAPHS, backbone, Grid(1, 2), batch_size=batch_size, threads=threads))
    assert list(found) == list(one_by_one)
    for key, vector in found.items():
        np.testing.assert_allclose(vector, one_by_one[key], atol=1e-5, err_msg=str(key))


def test_vectors_do_not_depend_on_the_order_of_photographs(
    backbone: Backbone, one_by_one: dict[tuple[str, int], np.ndarray]
):
    found = vectors_of(embed(reversed(PHOTOGRAPHS), backbone, Grid(1, 2), batch_size=3))
    for key, vector in one_by_one.items():
        np.testing.assert_allclose(found[key], vector, atol=1e-5, err_msg=str(key))


def test_photographs_that_differ_have_vectors_that_differ(one_by_one: dict[tuple[str, int], np.ndarray]):
    first, second = one_by_one["p0", 0], one_by_one["p1", 0]
    assert np.abs(first - second).max() > 0.01


def test_tiles_come_photograph_by_photograph_in_the_order_of_the_scheme(backbone: Backbone):
    embedded = embed(PHOTOGRAPHS[:2], backbone, Grid(1, 3), threads=4)
    assert embedded.image_ids == ["p0", "p0", "p0", "p1", "p1", "p1"]
    assert embedded.tiles == Grid(1, 3).tiles(90, 100) + Grid(1, 3).tiles(91, 99)


def test_the_vector_of_a_tile_is_that_of_its_own_pixels(backbone: Backbone):
    stripes = embed([EncodedImage("q", plain("red", "blue", width=200))], backbone, Grid(1, 2))
    alone = embed([EncodedImage("r", plain("red")), EncodedImage("b", plain("blue"))], backbone, WHOLE)
    for pooling in POOLINGS:
        np.testing.assert_allclose(stripes.vectors[pooling], alone.vectors[pooling], atol=1e-5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image in any format that is read"),
        (b"<html>no photograph</html>", "not an image in any format that is read"),
        (encoded(noise(0), "EPS"), "not an image in any format that is read"),
        (encoded(noise(0), "JPEG")[:900], "truncated"),
    ],
    ids=["empty", "no image", "a program that draws one", "truncated"],
)
def test_a_photograph_that_cannot_be_decoded_is_a_failure_and_the_others_go_on(
    backbone: Backbone, content: bytes, reason: str
):
    good, also_good = PHOTOGRAPHS[:2]
    embedded = embed([good, EncodedImage("bad", content), also_good], backbone, WHOLE, batch_size=2)
    assert embedded.image_ids == ["p0", "p1"]
    assert list(embedded.failures) == ["bad"]
    assert reason in embedded.failures["bad"]


def test_a_photograph_with_fewer_pixels_than_tiles_is_a_failure_and_the_others_go_on(backbone: Backbone):
    small = EncodedImage("small", plain("red", width=2, height=50))
    embedded = embed([small, PHOTOGRAPHS[0]], backbone, Grid(1, 3))
    assert embedded.image_ids == ["p0"] * 3
    assert embedded.failures == {
        "small": "cannot cut a 2x50 px image into 1 rows x 3 cols: a tile would be empty",
    }


def test_a_photograph_with_a_vector_that_is_not_finite_is_set_aside_whole(saved: Callable[..., Path]):
    model = Dinov2Model(
        Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    )
    # White overflows with this factor, black is zero with any.
    folder = saved(model, size=28, rescale_factor=1e37)
    overflowing = Backbone(backbones.find(str(folder)), "float32", "cpu")
    photographs = [
        EncodedImage("first", plain("black")),
        EncodedImage("half", plain("black", "white")),
        EncodedImage("bad", b""),
        EncodedImage("last", plain("black")),
    ]
    embedded = embed(photographs, overflowing, Grid(1, 2))
    assert embedded.image_ids == ["first", "first", "last", "last"]
    assert [tile.index for tile in embedded.tiles] == [0, 1, 0, 1]
    assert set(embedded.failures) == {"half", "bad"}
    assert embedded.failures["half"] == "the embedding holds NaN or infinity"
    for vectors in embedded.vectors.values():
        assert vectors.shape == (4, 16)
        assert np.isfinite(vectors).all()


def test_no_photographs_have_no_vectors_of_the_right_length(backbone: Backbone):
    embedded = embed([], backbone, WHOLE)
    assert (embedded.image_ids, embedded.tiles, embedded.failures) == ([], [], {})
    assert [embedded.vectors[pooling].shape for pooling in POOLINGS] == [(0, backbone.dimension)] * 2


def test_every_photograph_is_told_once_good_or_bad(backbone: Backbone):
    told: list[int] = []
    embed([*PHOTOGRAPHS, EncodedImage("bad", b"")], backbone, Grid(1, 2), on_image=told.append)
    assert told == [1] * 5


def test_photographs_are_not_read_far_ahead_of_the_network(backbone: Backbone):
    ahead: list[int] = []
    read: list[str] = []

    def many() -> Iterator[EncodedImage]:
        for position in range(24):
            read.append(str(position))
            yield EncodedImage(str(position), plain("red"))

    embedded = embed(many(), backbone, WHOLE, threads=2, on_image=lambda count: ahead.append(len(read) - len(ahead)))
    assert embedded.image_ids == read
    assert len(read) == 24
    assert max(ahead) <= 10


def test_no_pass_of_the_network_holds_more_tiles_than_were_asked_for(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []
    forward = backbone.embed

    def counted(pixels: Pixels) -> dict[str, np.ndarray]:
        sizes.append(len(pixels))
        return forward(pixels)

    monkeypatch.setattr(backbone, "embed", counted)
    embed(PHOTOGRAPHS[:2], backbone, Grid(1, 7), batch_size=4)
    assert sizes == [4, 4, 4, 2]


def test_an_upright_photograph_has_the_vectors_of_the_same_photograph_lying(backbone: Backbone):
    upright = noise(0, 60, 90)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    embedded = embed([EncodedImage("upright", encoded(upright)), EncodedImage("lying", lying)], backbone, WHOLE)
    assert embedded.tiles[0] == embedded.tiles[1]
    np.testing.assert_allclose(embedded.vectors["cls"][0], embedded.vectors["cls"][1], atol=1e-5)


def test_bfloat16_vectors_point_where_those_of_float32_do(backbone: Backbone):
    fast = Backbone(backbone.files, "bfloat16", "cpu")
    exact, rounded = embed(PHOTOGRAPHS, backbone, WHOLE).vectors, embed(PHOTOGRAPHS, fast, WHOLE).vectors
    for pooling in POOLINGS:
        assert rounded[pooling].dtype == np.float32
        assert not np.array_equal(rounded[pooling], exact[pooling])
        assert cosines(rounded[pooling], exact[pooling]).min() >= 0.999


def test_bfloat16_vectors_of_real_photographs_point_where_those_of_float32_do(
    real_backbone: Backbone, real_photographs: list[bytes]
):
    photographs = [EncodedImage(str(position), content) for position, content in enumerate(real_photographs[:6])]
    fast = Backbone(real_backbone.files, "bfloat16", "cpu")
    exact, rounded = embed(photographs, real_backbone, WHOLE).vectors, embed(photographs, fast, WHOLE).vectors
    for pooling in POOLINGS:
        assert cosines(rounded[pooling], exact[pooling]).min() >= 0.999
