"""Encoded photographs in, vectors of their tiles out. Knows no table and no flow.

An engine is a backbone at work. On the CPU of a machine that does nothing else, each of its threads decodes some
photographs and runs the network on them, on one core: threads that do the whole need not wait for one another, while a
network that is spread over all cores waits in every layer for the core that is decoding. On a GPU the threads decode
ahead of the network, which is fed from pinned memory, one batch ahead of the one whose vectors are fetched. Either way
few photographs are decoded at a time, so that memory does not grow with their number.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from modeling.backbones import Backbone, Launched
from modeling.pooling import POOLINGS
from modeling.preprocess import Pixels, TilePixels, cut
from modeling.tiling import Grid, Scheme, Tile

Matrix = NDArray[np.float32]
Item = TypeVar("Item")
Done = TypeVar("Done")

_CPU_BATCHES = (4, 8, 16)
_GPU_BATCHES = (16, 32, 64, 128, 256, 512, 1024)
_GAIN = 1.03  # images/s by which a larger batch has to be faster
_LONG_BATCH_SECONDS = 1.0  # a network this slow gains nothing from larger batches
_TILES_AT_ONCE = 512  # handed out together
_TILES_AHEAD = 512  # cut before the network has room for them
_USUAL_TILES = 64  # of a scheme whose tiles are not known before the photograph is decoded


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of one photograph under its name, and how it is to be cut."""

    image_id: str
    content: bytes
    schemes: tuple[Scheme, ...] = (Grid(1, 1),)


@dataclass(frozen=True)
class EmbeddedTiles:
    """All tiles of some photographs under all their schemes, in the order in which the photographs came."""

    image_ids: list[str]  # (N)
    scheme_ids: list[str]  # (N)
    tiles: list[Tile]  # (N)
    vectors: dict[str, Matrix]  # pooling -> (N, D), or (N, 64)
    failures: dict[tuple[str, str], str]  # (image_id, scheme_id) -> why it has no vectors

    def to_arrow(self) -> pa.Table:
        """Return one row per tile: image_id, scheme_id, tile_index, tile_level, tile_row, tile_column, x0, y0, x1, y1
        and each pooling as list<float32>.
        """
        columns: dict[str, pa.Array] = {
            "image_id": pa.array(self.image_ids, pa.string()),
            "scheme_id": pa.array(self.scheme_ids, pa.string()),
        }
        for name in ("index", "level", "row", "column"):
            columns[f"tile_{name}"] = pa.array([getattr(tile, name) for tile in self.tiles], pa.int32())
        for edge in ("x0", "y0", "x1", "y1"):
            columns[edge] = pa.array([getattr(tile, edge) for tile in self.tiles], pa.int32())
        return pa.table(columns | {pooling: _lists(matrix) for pooling, matrix in self.vectors.items()})


@dataclass(frozen=True)
class Seconds:
    """Where the time of a device went: as if decoding, network and writing took turns on it."""

    decode: float = 0.0
    forward: float = 0.0
    write: float = 0.0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.decode + other.decode, self.forward + other.forward, self.write + other.write)

    def __truediv__(self, parts: int) -> "Seconds":
        return Seconds(self.decode / parts, self.forward / parts, self.write / parts)


@dataclass
class _Filling:
    """The tiles of one photograph under one scheme, whose vectors are on their way."""

    image_id: str
    cut: TilePixels
    lengths: dict[str, int]  # pooling -> length of a vector
    vectors: dict[str, Matrix] = field(init=False)
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.cut.tiles)
        self.vectors = {
            # A vector that never came would be seen to be none.
            pooling: np.full((self.missing, length), np.nan, np.float32)
            for pooling, length in self.lengths.items()
        }

    @property
    def tiles(self) -> list["_FillingTile"]:
        return [(self, at) for at in range(len(self.cut.tiles))]

    def take(self, at: int, vectors: dict[str, NDArray[np.float32]]) -> None:
        for pooling, vector in vectors.items():
            self.vectors[pooling][at] = vector
        self.missing -= 1
        if not self.missing:
            self.cut.pixels.clear()

    @property
    def failure(self) -> str | None:
        if self.cut.failure is not None or all(np.isfinite(matrix).all() for matrix in self.vectors.values()):
            return self.cut.failure
        # One tile of them would spoil every mean that is taken over them.
        return "the embedding holds NaN or infinity"


_FillingTile = tuple[_Filling, int]  # a tile by its position


class Engine:
    """A backbone at work on any number of photographs, for any number of threads that ask.

    Those that ask take turns: while one waits for its last photographs, the next one's are begun.
    """

    def __init__(
        self, backbone: Backbone, threads: int | None = None, batch_size: int | None = None, per_core: bool = False
    ) -> None:
        """Start the threads.

        Args:
            backbone: The encoder.
            threads: That decode; as many as there are cores by default.
            batch_size: Tiles in one forward pass; found by trying by default, and lowered where memory runs out.
            per_core: On a CPU, run the network on one core in each thread, not on all cores in one.
        """
        import torch

        self.backbone = backbone
        self._seconds = Seconds()
        self._threads = threads or os.cpu_count() or 1
        self._batch_size = batch_size
        self._rate: float | None = None  # tiles a second, of one thread or one GPU
        self._per_core = per_core and backbone.device.type == "cpu"
        self._torch_threads = torch.get_num_threads()
        self._turn, self._sizing, self._timing = threading.Lock(), threading.Lock(), threading.Lock()
        # The number is each thread's own.
        alone = (lambda: torch.set_num_threads(1)) if self._per_core else None
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="embed", initializer=alone)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import torch

        self._pool.shutdown(cancel_futures=True)
        # Libraries of linear algebra keep one number for all threads: what comes after has the cores again.
        torch.set_num_threads(self._torch_threads)

    @property
    def batch_size(self) -> int:
        """Tiles in one forward pass."""
        with self._sizing:
            if self._batch_size is None:
                self._batch_size, self._rate = self._pool.submit(self._find_batch_size).result()
            return self._batch_size

    @property
    def threads_of_a_pass(self) -> int:
        """Threads that one forward pass runs on."""
        return 1 if self._per_core else self._torch_threads

    def take_seconds(self) -> Seconds:
        """Return where the time went since this was asked the last time."""
        with self._timing:
            taken, self._seconds = self._seconds, Seconds()
        return taken

    def embed(self, images: Iterable[EncodedImage]) -> Generator[EmbeddedTiles, None, None]:
        """Embed every tile of every photograph.

        Args:
            images: Encoded photographs, taken as they are needed.

        Yields:
            Some photographs at a time, each with all its tiles. One that cannot be decoded or cut, or whose vectors
            are not finite, is among the failures and has no tile under that scheme. Whoever stops before the end
            closes the iterator: until then it is nobody else's turn.

        Raises:
            MemoryError, torch.OutOfMemoryError: If there is no room even for a single tile.
        """
        # Before anything is begun: the trial needs one of the threads.
        _ = self.batch_size
        return self._on_each_core(images) if self._per_core else self._through_one_network(images)

    def tiles_per_second(self) -> float:
        """Return how many tiles the network takes in a second, about: by one batch, without decoding."""
        size = self.batch_size
        if self._rate is None:
            self._rate = size / self._pool.submit(_seconds, self.backbone, self._noise(size)).result()
        return self._rate * (self._threads if self._per_core else 1)

    def _on_each_core(self, images: Iterable[EncodedImage]) -> Generator[EmbeddedTiles, None, None]:
        yield from self._ahead(self._embed_chunk, self._chunks(images), 2 * self._threads, lambda _: 0)
        # So that no photographs give a part, too.
        yield _gathered([], self.backbone.lengths)

    def _chunks(self, images: Iterable[EncodedImage]) -> Iterator[list[EncodedImage]]:
        """Yield photographs with about as many tiles as there are in a batch."""
        chunk: list[EncodedImage] = []
        tiles = 0
        for image in images:
            chunk.append(image)
            tiles += _tile_count(image)
            if tiles >= self.batch_size:
                yield chunk
                chunk, tiles = [], 0
        if chunk:
            yield chunk

    def _embed_chunk(self, images: list[EncodedImage]) -> EmbeddedTiles:
        begun: list[_Filling] = []
        waiting: list[_FillingTile] = []

        def run(least: int) -> None:
            began = time.perf_counter()
            while len(waiting) >= least:
                tiles = waiting[: self.batch_size]
                del waiting[: len(tiles)]
                self._land(self._launch(tiles), tiles)
            self._spent(forward=(time.perf_counter() - began) / self._threads)

        for image in images:
            fillings = self._fillings(image)
            begun += fillings
            waiting += [tile for filling in fillings for tile in filling.tiles]
            # Photograph by photograph: how many tiles a window cuts out of one is only known now.
            run(self.batch_size)
        run(1)
        return _gathered(begun, self.backbone.lengths)

    def _through_one_network(self, images: Iterable[EncodedImage]) -> Generator[EmbeddedTiles, None, None]:
        """Fill batches across photographs; hand photographs out, in their order, when their last tile is done."""
        begun: deque[_Filling] = deque()
        waiting: list[_FillingTile] = []
        flying: deque[tuple[list[Launched], list[_FillingTile]]] = deque()

        def fly(least: int, most_in_flight: int) -> None:
            began = time.perf_counter()
            while len(waiting) >= least:
                tiles = waiting[: self.batch_size]
                del waiting[: len(tiles)]
                flying.append((self._launch(tiles), tiles))
                if len(flying) > 1:
                    self._land(*flying.popleft())
            while len(flying) > most_in_flight:
                self._land(*flying.popleft())
            self._spent(forward=time.perf_counter() - began)

        for fillings in self._ahead(self._fillings, images, 4 * self._threads, _tile_count):
            begun += fillings
            waiting += [tile for filling in fillings for tile in filling.tiles]
            fly(self.batch_size, 1)
            if sum(len(filling.tiles) or 1 for filling in begun) >= _TILES_AT_ONCE + 2 * self.batch_size:
                done = list(takewhile(lambda filling: not filling.missing, begun))
                # Whole photographs: the other schemes of the last one may still be on their way.
                while done and len(done) < len(begun) and done[-1].image_id == begun[len(done)].image_id:
                    done.pop()
                for _ in done:
                    begun.popleft()
                yield _gathered(done, self.backbone.lengths)
        fly(1, 0)
        yield _gathered(list(begun), self.backbone.lengths)

    def _fillings(self, image: EncodedImage) -> list[_Filling]:
        return [_Filling(image.image_id, tiles, self.backbone.lengths) for tiles in self._cut(image)]

    def _cut(self, image: EncodedImage) -> list[TilePixels]:
        began = time.perf_counter()
        try:
            return cut(image.content, image.schemes, self.backbone.files.preprocessing)
        except MemoryError:  # says nothing about the photograph: the same one may pass in the next run
            raise
        # Decoders raise whatever their format's parser does; one photograph must not end the run of the others.
        except Exception as error:
            # Pillow's own words for what is no image hold a memory address, which differs in each run.
            unknown = isinstance(error, UnidentifiedImageError)
            reason = "not an image in any format that is read" if unknown else f"{type(error).__name__}: {error}"
            return [TilePixels(scheme.scheme_id, [], [], reason) for scheme in image.schemes]
        finally:
            self._spent(decode=(time.perf_counter() - began) / self._threads)

    def _launch(self, tiles: Sequence[_FillingTile]) -> list[Launched]:
        """Start one forward pass, or several smaller ones where memory runs out."""
        try:
            return [self.backbone.launch(np.stack([filling.cut.pixels[at] for filling, at in tiles]))]
        except (RuntimeError, MemoryError) as error:
            if not _is_for_want_of_memory(error) or len(tiles) == 1:
                raise
        # Not within the handler: the error holds on to what the failed pass had allocated.
        half = (len(tiles) + 1) // 2
        with self._sizing:
            self._batch_size = min(self._batch_size or half, half)
        self.backbone.release_memory()
        return self._launch(tiles[:half]) + self._launch(tiles[half:])

    def _land(self, launched: list[Launched], tiles: Sequence[_FillingTile]) -> None:
        """Wait for forward passes and lay each tile's vectors where they belong."""
        place = iter(tiles)
        for one in launched:
            vectors = self.backbone.collect(one)
            for row, (filling, at) in zip(range(len(vectors["cls"])), place, strict=False):
                filling.take(at, {pooling: matrix[row] for pooling, matrix in vectors.items()})

    def _ahead(
        self,
        work: Callable[[Item], Done],
        items: Iterable[Item],
        most_ahead: int,
        tiles_of: Callable[[Item], int],
    ) -> Generator[Done, None, None]:
        """Work on items in the threads and yield what comes of them, in order, at most some items ahead.

        Fewer where they are many tiles, whose pixels wait in memory; but never so few that a thread would wait.
        """
        running: deque[Future[Done]] = deque()
        sizes: deque[int] = deque()
        try:
            with self._turn:
                for item in items:
                    running.append(self._pool.submit(work, item))
                    sizes.append(tiles_of(item))
                    most = most_ahead if sum(sizes) <= _TILES_AHEAD else self._threads
                    while len(running) > most:
                        sizes.popleft()
                        yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    def _find_batch_size(self) -> tuple[int, float]:
        """Return the smallest number of tiles that the network takes about as fast as any larger one, and how fast."""
        best, found = 0.0, 1
        self.backbone.embed(self._noise(1))  # the first pass is slow: buffers are made, kernels chosen
        for size in _GPU_BATCHES if self.backbone.device.type == "cuda" else _CPU_BATCHES:
            try:
                seconds = _seconds(self.backbone, self._noise(size))
            except (RuntimeError, MemoryError) as error:
                if not _is_for_want_of_memory(error):
                    raise
                break
            if size / seconds < best * _GAIN:
                break
            best, found = size / seconds, size
            if seconds > _LONG_BATCH_SECONDS:
                break
        self.backbone.release_memory()
        return found, best or 1 / _seconds(self.backbone, self._noise(1))

    def _noise(self, count: int) -> Pixels:
        height, width = self.backbone.files.preprocessing.size
        return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)

    def _spent(self, decode: float = 0.0, forward: float = 0.0) -> None:
        with self._timing:
            self._seconds += Seconds(decode, forward)


def embed(
    images: Iterable[EncodedImage], backbone: Backbone, threads: int | None = None, batch_size: int | None = None
) -> EmbeddedTiles:
    """Embed photographs at hand, all at once, as ``Engine.embed`` does bit by bit."""
    with Engine(backbone, threads, batch_size) as engine:
        return joined(engine.embed(images))


def cosine_to_float32(backbone: Backbone, images: Sequence[EncodedImage]) -> float | None:
    """Return how near the vectors of a backbone of another dtype are to those of float32: the least cosine of all.

    Args:
        backbone: The encoder in the fast dtype.
        images: A sample of what it is for.

    Returns:
        The least over images, tiles and poolings; None where none of the images can be embedded.
    """
    exact = Backbone(backbone.files, "float32", str(backbone.device))
    ours, theirs = (embed(images, one, batch_size=max(1, len(images))) for one in (backbone, exact))
    if ours.image_ids != theirs.image_ids:
        return -1.0  # what float32 can hold overflows: as far as can be
    return min(
        (float(cosine) for pooling in POOLINGS for cosine in _cosines(ours.vectors[pooling], theirs.vectors[pooling])),
        default=None,
    )


def joined(parts: Iterable[EmbeddedTiles]) -> EmbeddedTiles:
    """Put together what an engine gives, in its order; at least one part, which may be empty."""
    parts = list(parts)
    return EmbeddedTiles(
        [image_id for part in parts for image_id in part.image_ids],
        [scheme_id for part in parts for scheme_id in part.scheme_ids],
        [tile for part in parts for tile in part.tiles],
        {pooling: np.concatenate([part.vectors[pooling] for part in parts]) for pooling in POOLINGS},
        {key: reason for part in parts for key, reason in part.failures.items()},
    )


def _gathered(fillings: Sequence[_Filling], lengths: dict[str, int]) -> EmbeddedTiles:
    failures = {(one.image_id, one.cut.scheme_id): one.failure for one in fillings}
    good = [one for one in fillings if failures[one.image_id, one.cut.scheme_id] is None]
    return EmbeddedTiles(
        [one.image_id for one in good for _ in one.cut.tiles],
        [one.cut.scheme_id for one in good for _ in one.cut.tiles],
        [tile for one in good for tile in one.cut.tiles],
        {
            # The empty one so that no photographs have vectors of the right length, too.
            pooling: np.concatenate([np.empty((0, length), np.float32), *(one.vectors[pooling] for one in good)])
            for pooling, length in lengths.items()
        },
        {key: reason for key, reason in failures.items() if reason is not None},
    )


def _cosines(one: Matrix, other: Matrix) -> NDArray[np.float64]:
    """Return the cosine of each row (N, D) to the same row of another matrix: (N)."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    # Two vectors of zeros point the same way.
    return np.where(lengths > 0, (one * other).sum(axis=1) / np.where(lengths > 0, lengths, 1), 1.0)


def _tile_count(image: EncodedImage) -> int:
    """Return how many tiles a photograph has, about."""
    return sum(scheme.tile_count or _USUAL_TILES for scheme in image.schemes)


def _seconds(backbone: Backbone, pixels: Pixels) -> float:
    """Return the time of one forward pass; on a GPU of the second one, as the first one chooses its kernels."""
    if backbone.device.type == "cuda":
        backbone.embed(pixels)
    began = time.perf_counter()
    backbone.embed(pixels)
    return time.perf_counter() - began


def _is_for_want_of_memory(error: BaseException) -> bool:
    import torch

    # The CPU's allocator has no error of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _lists(matrix: Matrix) -> pa.Array:
    """Return (N, D) as N lists, without a copy for each row."""
    rows, length = matrix.shape
    offsets = pa.array(np.arange(rows + 1) * length, pa.int32())  # refused where they do not fit
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel(), pa.float32()))
