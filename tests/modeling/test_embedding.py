import threading
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from drawn_photographs import encoded, noise, plain, scene
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from modeling import backbones
from modeling.backbones import Backbone, BackboneFiles, Launched
from modeling.embedding import EmbeddedTiles, EncodedImage, Engine, cosine_to_float32, embed, joined
from modeling.pooling import POOLINGS
from modeling.preprocess import Pixels
from modeling.tiling import Boxes, Grid, Pyramid, Scheme, Tile, Window

WHOLE, HALVES = Grid(1, 1), Grid(1, 2)
# Whole they are decoded at a quarter of their size, in sixteen parts in full, and as a pyramid at either.
LARGE_SCHEMES = (WHOLE, Grid(4, 4), Pyramid(84, 2, 1), Window(500, 400, 50), Boxes("b", ((10, 20, 400, 400),)))
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
EACH_WAY = pytest.mark.parametrize("per_core", [False, True], ids=["one network", "per core"])

Vectors = dict[tuple[str, str, int], dict[str, np.ndarray]]  # of (image_id, scheme_id, tile_index), by pooling


def photographs(count: int, *schemes: Scheme, named: str = "p") -> list[EncodedImage]:
    """Draw small photographs of which none is like another."""
    return [EncodedImage(f"{named}{seed}", encoded(noise(seed, 30, 29)), schemes or (WHOLE,)) for seed in range(count)]


def vectors_of(embedded: EmbeddedTiles) -> Vectors:
    names = zip(embedded.image_ids, embedded.scheme_ids, embedded.tiles, strict=True)
    return {
        (image_id, scheme_id, tile.index): {pooling: embedded.vectors[pooling][row] for pooling in POOLINGS}
        for row, (image_id, scheme_id, tile) in enumerate(names)
    }


def assert_same(found: Vectors, wanted: Vectors) -> None:
    """Compare vectors to a hundred-thousandth of what is in them."""
    assert found.keys() == wanted.keys()
    for key, vectors in wanted.items():
        for pooling, vector in vectors.items():
            scale = max(1, np.abs(vector).max())
            np.testing.assert_allclose(
                found[key][pooling] / scale, vector / scale, atol=1e-5, err_msg=f"{key} {pooling}"
            )


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


@pytest.fixture
def network(saved: Callable[..., Path]) -> Callable[..., BackboneFiles]:
    """Save a very small network with the steps that are asked for."""

    def save(change: Callable[[Any], None] = lambda model: None, **steps: object) -> BackboneFiles:
        torch.manual_seed(0)
        model = Dinov2Model(Dinov2Config(**TINY))
        with torch.no_grad():
            change(model)
        return backbones.find(str(saved(model, size=28, **steps)))

    return save


@pytest.fixture
def tiny(network: Callable[..., BackboneFiles]) -> Backbone:
    return Backbone(network(), "float32", "cpu")


class Watched(Backbone):
    """A backbone that notes how many tiles are in each pass."""

    def __init__(self, files: BackboneFiles) -> None:
        super().__init__(files, "float32", "cpu")
        self.passes: list[int] = []

    def launch(self, pixels: Pixels) -> Launched:
        self.passes.append(len(pixels))
        return super().launch(pixels)


class Cramped(Watched):
    """A backbone on a device with room for so many tiles, which says in its own way that there is none for more."""

    def __init__(self, files: BackboneFiles, room: int, complain: Callable[[], object]) -> None:
        super().__init__(files)
        self.room, self.complain = room, complain

    def launch(self, pixels: Pixels) -> Launched:
        launched = super().launch(pixels)
        if len(pixels) > self.room:
            self.complain()
        return launched


def as_a_gpu_does() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def as_torch_does_on_a_cpu() -> None:
    torch.empty(2**62, dtype=torch.uint8)


def as_numpy_does() -> None:
    np.empty(2**62, np.uint8)


COMPLAINTS = pytest.mark.parametrize("complain", [as_a_gpu_does, as_torch_does_on_a_cpu, as_numpy_does])


@pytest.fixture(scope="module")
def large() -> list[EncodedImage]:
    """Photographs of 2 megapixels, the last of them held sideways."""
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = scene(2, 1200, 1600).transpose(Image.Transpose.ROTATE_90)
    contents = [
        encoded(scene(0, 1601, 1201), "JPEG", quality=90),
        encoded(scene(1, 1600, 1200)),
        encoded(sideways, "JPEG", quality=90, exif=exif),
    ]
    return [EncodedImage(f"p{at}", content, LARGE_SCHEMES) for at, content in enumerate(contents)]


@pytest.fixture(scope="module")
def one_by_one(backbone: Backbone, large: list[EncodedImage]) -> Vectors:
    """Each scheme of each photograph by itself, tile by tile."""
    found: Vectors = {}
    for image in large:
        for scheme in image.schemes:
            alone = EncodedImage(image.image_id, image.content, (scheme,))
            found |= vectors_of(embed([alone], backbone, threads=1, batch_size=1))
    return found


@EACH_WAY
@pytest.mark.parametrize(("batch_size", "threads"), [(3, 1), (7, 4), (64, 2)])
def test_vectors_do_not_depend_on_batches_threads_or_other_schemes(
    backbone: Backbone,
    large: list[EncodedImage],
    one_by_one: Vectors,
    batch_size: int,
    threads: int,
    per_core: bool,
):
    with Engine(backbone, threads, batch_size, per_core) as engine:
        found = vectors_of(joined(engine.embed(large)))
    assert list(found) == list(one_by_one)
    assert_same(found, one_by_one)


@EACH_WAY
def test_vectors_do_not_depend_on_the_order_of_photographs_or_schemes(
    backbone: Backbone, large: list[EncodedImage], one_by_one: Vectors, per_core: bool
):
    backwards = [EncodedImage(image.image_id, image.content, image.schemes[::-1]) for image in reversed(large)]
    with Engine(backbone, batch_size=5, per_core=per_core) as engine:
        assert_same(vectors_of(joined(engine.embed(backwards))), one_by_one)


def test_tiles_that_differ_have_vectors_that_differ(one_by_one: Vectors):
    alike = [vectors["cls"].round(2).tobytes() for vectors in one_by_one.values()]
    assert len(set(alike)) == len(alike)


@EACH_WAY
def test_tiles_come_photograph_by_photograph_and_scheme_by_scheme(tiny: Backbone, per_core: bool):
    with Engine(tiny, threads=4, batch_size=4, per_core=per_core) as engine:
        embedded = joined(engine.embed(photographs(3, Grid(1, 3), WHOLE)))
    assert embedded.image_ids == ["p0"] * 4 + ["p1"] * 4 + ["p2"] * 4
    assert embedded.scheme_ids == (["grid-1x3"] * 3 + ["whole"]) * 3
    assert embedded.tiles == (Grid(1, 3).tiles(30, 29) + WHOLE.tiles(30, 29)) * 3


@EACH_WAY
def test_a_photograph_is_handed_out_with_all_its_schemes_at_once(tiny: Backbone, per_core: bool):
    images = photographs(9, Grid(10, 15), HALVES, Grid(12, 9))
    with Engine(tiny, threads=2, batch_size=64, per_core=per_core) as engine:
        parts = [set(zip(part.image_ids, part.scheme_ids, strict=True)) for part in engine.embed(images)]
    assert len([part for part in parts if part]) > 1
    for part in parts:
        names = {image_id for image_id, _ in part}
        assert part == {(name, scheme.scheme_id) for name in names for scheme in images[0].schemes}


def test_the_vector_of_a_tile_is_that_of_its_own_pixels(backbone: Backbone):
    stripes = embed([EncodedImage("q", plain("red", "blue", width=200), (HALVES,))], backbone)
    alone = embed([EncodedImage("r", plain("red")), EncodedImage("b", plain("blue"))], backbone)
    for pooling in POOLINGS:
        np.testing.assert_allclose(stripes.vectors[pooling], alone.vectors[pooling], rtol=1e-5, atol=1e-5)


@EACH_WAY
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
def test_a_photograph_that_cannot_be_decoded_is_a_failure_of_each_scheme_and_the_others_go_on(
    tiny: Backbone, content: bytes, reason: str, per_core: bool
):
    good, also_good = photographs(2)
    with Engine(tiny, batch_size=2, per_core=per_core) as engine:
        embedded = joined(engine.embed([good, EncodedImage("bad", content, (WHOLE, HALVES)), also_good]))
    assert embedded.image_ids == ["p0", "p1"]
    assert list(embedded.failures) == [("bad", "whole"), ("bad", "grid-1x2")]
    assert all(reason in text for text in embedded.failures.values())


def test_a_scheme_that_does_not_fit_a_photograph_is_a_failure_and_the_others_go_on(tiny: Backbone):
    small = EncodedImage("small", plain("red", width=2, height=50), (Grid(1, 3), WHOLE))
    embedded = embed([small, *photographs(1, Grid(1, 3))], tiny)
    assert embedded.image_ids == ["small"] + ["p0"] * 3
    assert embedded.failures == {
        ("small", "grid-1x3"): "cannot cut a 2x50 px image into 1 rows x 3 cols: a tile would be empty",
    }


@EACH_WAY
def test_a_photograph_with_a_vector_that_is_not_finite_is_set_aside_whole(
    network: Callable[..., BackboneFiles], per_core: bool
):
    # White overflows with this factor, black is zero with any.
    overflowing = Backbone(network(rescale_factor=1e37), "float32", "cpu")
    schemes = (HALVES, Boxes("left", ((0, 0, 40, 40),)))
    pictures = [
        EncodedImage("first", plain("black"), schemes),
        EncodedImage("half", plain("black", "white"), schemes),
        EncodedImage("bad", b"", schemes),
        EncodedImage("last", plain("black"), schemes),
    ]
    with Engine(overflowing, batch_size=4, per_core=per_core) as engine:
        embedded = joined(engine.embed(pictures))
    assert embedded.image_ids == ["first"] * 3 + ["half"] + ["last"] * 3
    assert [tile.index for tile in embedded.tiles] == [0, 1, 0, 0, 0, 1, 0]
    assert set(embedded.failures) == {("half", "grid-1x2"), ("bad", "grid-1x2"), ("bad", "boxes-left")}
    assert embedded.failures["half", "grid-1x2"] == "the embedding holds NaN or infinity"
    for pooling, length in overflowing.lengths.items():
        assert embedded.vectors[pooling].shape == (7, length)
        assert np.isfinite(embedded.vectors[pooling]).all()


@EACH_WAY
@pytest.mark.parametrize("images", [[], [EncodedImage("bad", b"")]], ids=["none", "none that is good"])
def test_no_photographs_have_no_vectors_of_the_right_length(tiny: Backbone, images: list[EncodedImage], per_core: bool):
    with Engine(tiny, batch_size=2, per_core=per_core) as engine:
        embedded = joined(engine.embed(images))
    assert (embedded.image_ids, embedded.scheme_ids, embedded.tiles) == ([], [], [])
    assert {pooling: vectors.shape for pooling, vectors in embedded.vectors.items()} == {
        pooling: (0, length) for pooling, length in tiny.lengths.items()
    }
    assert embedded.to_arrow().num_rows == 0


def test_an_arrow_table_has_a_row_for_each_tile_with_its_place_and_its_vectors(tiny: Backbone):
    embedded = embed(photographs(2, Pyramid(28, 2, 1), HALVES), tiny)
    table = embedded.to_arrow()
    assert table.num_rows == 2 * (5 + 2)
    rows = zip(embedded.image_ids, embedded.scheme_ids, embedded.tiles, table.to_pylist(), strict=True)
    for at, (image_id, scheme_id, tile, row) in enumerate(rows):
        assert (row["image_id"], row["scheme_id"]) == (image_id, scheme_id)
        assert tile == Tile(*(row[f"tile_{name}"] for name in ("index", "level", "row", "column")), *edges_of(row))
        for pooling in POOLINGS:
            assert row[pooling] == embedded.vectors[pooling][at].tolist()
    assert {table.schema.field(pooling).type for pooling in POOLINGS} == {pa.list_(pa.float32())}


def edges_of(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[edge] for edge in ("x0", "y0", "x1", "y1"))


def test_an_upright_photograph_has_the_vectors_of_the_same_photograph_lying(backbone: Backbone):
    upright = noise(0, 60, 90)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    embedded = embed([EncodedImage("upright", encoded(upright)), EncodedImage("lying", lying)], backbone)
    assert embedded.tiles[0] == embedded.tiles[1]
    np.testing.assert_allclose(embedded.vectors["cls"][0], embedded.vectors["cls"][1], atol=1e-5)


@EACH_WAY
def test_every_thread_that_asks_gets_its_own_photographs_whole_and_in_order(tiny: Backbone, per_core: bool):
    asked = {name: photographs(12, WHOLE, HALVES, named=name) for name in "abcd"}
    with Engine(tiny, threads=2, batch_size=5, per_core=per_core) as engine, ThreadPoolExecutor(4) as threads:
        ready = threading.Barrier(4)

        def ask(images: list[EncodedImage]) -> EmbeddedTiles:
            ready.wait(30)
            return joined(engine.embed(images))

        given = dict(zip(asked, threads.map(ask, asked.values()), strict=True))
    wanted = vectors_of(embed(photographs(12, WHOLE, HALVES, named=""), tiny))
    for name, embedded in given.items():
        assert embedded.image_ids == [f"{name}{at}" for at in range(12) for _ in range(3)]
        assert_same({(key[0][1:], *key[1:]): vectors for key, vectors in vectors_of(embedded).items()}, wanted)


class SourceError(Exception):
    """The source of photographs has run dry before its end."""


def broken_source() -> Iterator[EncodedImage]:
    yield from photographs(20)
    raise SourceError


def walk_away(parts: Generator[EmbeddedTiles, None, None]) -> None:
    for _ in parts:
        break


def close(parts: Generator[EmbeddedTiles, None, None]) -> None:
    next(parts)
    parts.close()


def fall(parts: Generator[EmbeddedTiles, None, None]) -> None:
    with closing(parts):
        for _ in parts:
            raise SourceError


def assert_serves_others(engine: Engine) -> None:
    given: list[EmbeddedTiles] = []
    # Of all threads only such a one may wait for ever without holding up the end of the tests.
    other = threading.Thread(target=lambda: given.append(joined(engine.embed(photographs(3)))), daemon=True)
    other.start()
    other.join(30)
    assert [embedded.image_ids for embedded in given] == [["p0", "p1", "p2"]]


@EACH_WAY
@pytest.mark.parametrize("abandon", [walk_away, close, fall])
def test_an_engine_that_was_abandoned_serves_the_next_one(
    tiny: Backbone, per_core: bool, abandon: Callable[[Generator[EmbeddedTiles, None, None]], None]
):
    many = photographs(1, Grid(40, 20)) * 9  # enough for several parts
    with Engine(tiny, threads=2, batch_size=64, per_core=per_core) as engine:
        raised = None
        try:
            abandon(engine.embed(iter(many)))
        except SourceError as error:
            raised = error  # kept, with all that it has seen
        assert (raised is not None) == (abandon is fall)
        assert_serves_others(engine)


@EACH_WAY
def test_a_source_that_fails_fails_whoever_asked_and_nobody_else(tiny: Backbone, per_core: bool):
    with Engine(tiny, threads=2, batch_size=2, per_core=per_core) as engine:
        with pytest.raises(SourceError):
            joined(engine.embed(broken_source()))
        assert_serves_others(engine)


@EACH_WAY
@COMPLAINTS
def test_where_memory_runs_out_every_vector_comes_all_the_same_and_batches_stay_smaller(
    network: Callable[..., BackboneFiles], complain: Callable[[], object], per_core: bool
):
    files = network()
    cramped = Cramped(files, 3, complain)
    with Engine(cramped, threads=2, batch_size=16, per_core=per_core) as engine:
        found = joined(engine.embed(photographs(20, HALVES)))
        assert engine.batch_size <= 3
        cramped.passes.clear()
        again = joined(engine.embed(photographs(20, HALVES)))
    assert max(cramped.passes) <= 3
    wanted = vectors_of(embed(photographs(20, HALVES), Backbone(files, "float32", "cpu"), batch_size=1))
    assert_same(vectors_of(found), wanted)
    assert_same(vectors_of(again), wanted)


@EACH_WAY
@COMPLAINTS
def test_a_tile_for_which_there_is_no_room_at_all_ends_the_run(
    network: Callable[..., BackboneFiles], complain: Callable[[], object], per_core: bool
):
    cramped = Cramped(network(), 0, complain)
    with Engine(cramped, batch_size=4, per_core=per_core) as engine, pytest.raises((RuntimeError, MemoryError)):
        joined(engine.embed(photographs(3)))
    assert cramped.passes[-1] == 1


@EACH_WAY
def test_what_fails_for_another_reason_than_memory_ends_the_run_at_once(
    network: Callable[..., BackboneFiles], per_core: bool
):
    def complain() -> None:
        raise RuntimeError("an illegal instruction was encountered")

    broken = Cramped(network(), 3, complain)
    with Engine(broken, threads=1, batch_size=4, per_core=per_core) as engine:
        with pytest.raises(RuntimeError, match="illegal instruction"):
            joined(engine.embed(photographs(8)))
        assert engine.batch_size == 4
    assert set(broken.passes) == {4}


@dataclass(frozen=True)
class Vast:
    """A scheme for whose tiles memory does not suffice."""

    scheme_id = "vast"
    tile_px = None
    tile_count = 1

    def tiles(self, width: int, height: int) -> list[Tile]:
        raise MemoryError


@EACH_WAY
def test_a_photograph_for_which_memory_does_not_suffice_is_not_to_blame(tiny: Backbone, per_core: bool):
    with Engine(tiny, batch_size=2, per_core=per_core) as engine, pytest.raises(MemoryError):
        joined(engine.embed([*photographs(2), EncodedImage("large", plain("red"), (Vast(),))]))


@EACH_WAY
def test_a_batch_size_is_found_by_trying_larger_and_larger_ones(network: Callable[..., BackboneFiles], per_core: bool):
    watched = Watched(network())
    with Engine(watched, threads=2, per_core=per_core) as engine:
        found = engine.batch_size
        tried = list(watched.passes)
        assert found in tried
        assert tried == sorted(tried)
        assert engine.batch_size == found
        assert engine.tiles_per_second() > 0
        watched.passes.clear()
        assert len(joined(engine.embed(photographs(2 * found))).tiles) == 2 * found
    assert max(watched.passes) <= found


@COMPLAINTS
def test_a_batch_that_memory_does_not_suffice_for_is_not_chosen(
    network: Callable[..., BackboneFiles], complain: Callable[[], object]
):
    with Engine(Cramped(network(), 5, complain)) as engine:
        assert engine.batch_size <= 5
        assert engine.tiles_per_second() > 0


class Slow(Watched):
    """A backbone that takes its time."""

    def __init__(self, files: BackboneFiles, seconds: Callable[[int], float]) -> None:
        super().__init__(files)
        self.seconds = seconds

    def launch(self, pixels: Pixels) -> Launched:
        time.sleep(self.seconds(len(pixels)))
        return super().launch(pixels)


def test_a_slow_network_is_not_tried_at_larger_batches(network: Callable[..., BackboneFiles]):
    slow = Slow(network(), lambda tiles: 1.1 if tiles > 1 else 0)
    with Engine(slow) as engine:
        found = engine.batch_size
    assert set(slow.passes) - {1} == {found}


def test_a_larger_batch_that_gains_nothing_is_not_chosen(network: Callable[..., BackboneFiles]):
    slow = Slow(network(), lambda tiles: 0.003 * tiles**2)
    with Engine(slow) as engine:
        found = engine.batch_size
    smallest, next_larger = sorted(set(slow.passes) - {1})
    assert found == smallest < next_larger


@EACH_WAY
def test_no_pass_of_the_network_holds_more_tiles_than_were_asked_for(
    network: Callable[..., BackboneFiles], per_core: bool
):
    watched = Watched(network())
    with Engine(watched, threads=1, batch_size=4, per_core=per_core) as engine:
        joined(engine.embed(photographs(2, Grid(1, 7))))
    assert max(watched.passes) == 4
    assert sum(watched.passes) == 14


def test_one_network_gets_full_batches_whatever_a_photograph_is_cut_into(network: Callable[..., BackboneFiles]):
    watched = Watched(network())
    with Engine(watched, threads=2, batch_size=4) as engine:
        joined(engine.embed(photographs(2, Grid(1, 7))))
    assert watched.passes == [4, 4, 4, 2]


@EACH_WAY
def test_photographs_are_not_read_far_ahead_of_the_vectors(tiny: Backbone, per_core: bool):
    threads, batch_size, scheme = 2, 64, Grid(8, 8)
    content = encoded(noise(0, 30, 29))
    taken: list[int] = []
    ahead: list[int] = []

    def many() -> Iterator[EncodedImage]:
        for position in range(40):
            taken.append(position)
            yield EncodedImage(str(position), content, (scheme,))

    given: list[str] = []
    with Engine(tiny, threads, batch_size, per_core) as engine:
        for part in engine.embed(many()):
            ahead.append(len(taken) - len(set(given)))
            given += part.image_ids
    assert given == [str(position) for position in taken for _ in range(64)]
    # What the threads work on and a few more for each; and what is handed out together.
    assert max(ahead) <= 4 * threads + 1 + (512 + 2 * batch_size) // 64 + 1


@EACH_WAY
def test_pixels_do_not_pile_up_while_the_network_is_at_work(tiny: Backbone, per_core: bool):
    """Of windows nobody knows how many there are before the photograph is decoded."""
    content = encoded(noise(0, 60, 59))
    windows = Window(8, 4)
    one = len(windows.tiles(60, 59)) * 28 * 28 * 3  # bytes of the tiles of one photograph
    images = [EncodedImage(str(at), content, (windows,)) for at in range(12)]
    with Engine(tiny, threads=1, batch_size=64, per_core=per_core) as engine:
        joined(engine.embed(images[:1]))
        tracemalloc.start()
        try:
            for _ in engine.embed(images):
                pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 12 * one


@EACH_WAY
def test_the_seconds_of_decoding_and_network_are_counted(tiny: Backbone, per_core: bool):
    threads = 2
    content = encoded(scene(0, 800, 600))
    images = [EncodedImage(str(at), content, (WHOLE, Grid(4, 4))) for at in range(8)]
    with Engine(tiny, threads, 8, per_core) as engine:
        began = time.perf_counter()
        joined(engine.embed(images))
        wall = time.perf_counter() - began
        seconds = engine.take_seconds()
        rest = engine.take_seconds()
    assert 0 < seconds.decode <= wall * threads
    assert 0 < seconds.forward <= wall * threads
    assert (rest.decode, rest.forward) == (0, 0)


@EACH_WAY
def test_torch_has_its_threads_back_after_an_engine(tiny: Backbone, per_core: bool):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Engine(tiny, threads=2, batch_size=4, per_core=per_core) as engine:
            joined(engine.embed(photographs(4)))
            assert engine.threads_of_a_pass == (1 if per_core else 3)
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_bfloat16_vectors_point_where_those_of_float32_do(backbone: Backbone):
    pictures = [EncodedImage(str(seed), encoded(scene(seed, 96, 84)), (WHOLE, HALVES)) for seed in range(4)]
    fast = Backbone(backbone.files, "bfloat16", "cpu")
    exact, rounded = embed(pictures, backbone).vectors, embed(pictures, fast).vectors
    for pooling in POOLINGS:
        assert rounded[pooling].dtype == np.float32
        assert not np.array_equal(rounded[pooling], exact[pooling])
    least = min(float(cosines(rounded[pooling], exact[pooling]).min()) for pooling in POOLINGS)
    assert least >= 0.999
    assert cosine_to_float32(fast, pictures) == pytest.approx(least, abs=1e-5)


def test_bfloat16_vectors_of_real_photographs_point_where_those_of_float32_do(
    real_backbone: Backbone, real_photographs: list[bytes]
):
    pictures = [EncodedImage(str(position), content) for position, content in enumerate(real_photographs[:6])]
    cosine = cosine_to_float32(Backbone(real_backbone.files, "bfloat16", "cpu"), pictures)
    assert cosine is not None
    assert cosine >= 0.999


def test_a_network_that_bfloat16_breaks_is_seen_by_its_cosine(network: Callable[..., BackboneFiles]):
    def see_differences_only(model: Any) -> None:
        weight = model.embeddings.patch_embeddings.projection.weight
        weight -= weight.mean((1, 2, 3), keepdim=True)

    # So far from zero that bfloat16 does not tell one brightness from another.
    broken = Backbone(network(see_differences_only, image_mean=[1000.0] * 3), "bfloat16", "cpu")
    cosine = cosine_to_float32(broken, photographs(3))
    assert cosine is not None
    assert cosine < 0.9


def test_what_only_float32_can_hold_is_as_far_as_can_be(network: Callable[..., BackboneFiles]):
    def shrink(model: Any) -> None:
        model.embeddings.patch_embeddings.projection.weight *= 1e-36

    # White is more than the largest number of bfloat16, and less than that of float32.
    files = network(shrink, rescale_factor=3.398e38 / 255, image_mean=[0.0] * 3, image_std=[1.0] * 3)
    white = [EncodedImage("black", plain("black")), EncodedImage("white", plain("white"))]
    assert embed(white, Backbone(files, "float32", "cpu")).failures == {}
    assert cosine_to_float32(Backbone(files, "bfloat16", "cpu"), white) == -1


def test_where_nothing_can_be_embedded_there_is_no_cosine(network: Callable[..., BackboneFiles]):
    assert cosine_to_float32(Backbone(network(), "bfloat16", "cpu"), [EncodedImage("bad", b"")]) is None
