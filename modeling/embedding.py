"""Encoded photographs in, vectors of their tiles out. Knows no table and no flow.

Decoding runs in threads (decoders release the interpreter's lock) ahead of the forward pass, in a bounded queue, so
that memory does not grow with the number of photographs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from modeling.backbones import POOLINGS, Backbone
from modeling.errors import TilingError
from modeling.preprocess import Pixels, Preprocessing, decode, prepare
from modeling.tiling import Grid, Tile


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of one photograph under its name."""

    image_id: str
    content: bytes


@dataclass(frozen=True)
class EmbeddedTiles:
    """All tiles of some photographs, in the order in which the photographs came."""

    image_ids: list[str]  # (N)
    tiles: list[Tile]  # (N)
    vectors: dict[str, NDArray[np.float32]]  # pooling -> (N, D)
    failures: dict[str, str]  # image_id -> why it has no vectors


@dataclass(frozen=True)
class _Cut:
    """The pixels of all tiles of one photograph, or why there are none."""

    image_id: str
    tiles: list[Tile]
    pixels: list[Pixels]
    failure: str | None = None


def embed(
    images: Iterable[EncodedImage],
    backbone: Backbone,
    scheme: Grid,
    batch_size: int = 32,
    threads: int = 2,
    on_image: Callable[[int], None] = lambda count: None,
) -> EmbeddedTiles:
    """Embed every tile of every photograph.

    Args:
        images: Encoded photographs.
        backbone: The encoder.
        scheme: How each photograph is cut.
        batch_size: Tiles in one forward pass.
        threads: Photographs decoded at once.
        on_image: Told after each photograph, for a progress bar.

    Returns:
        N tiles with their vectors. A photograph that cannot be decoded or cut, or whose vectors are not finite, is
        in ``failures`` and has no tile.
    """
    image_ids: list[str] = []
    tiles: list[Tile] = []
    failures: dict[str, str] = {}
    waiting: list[Pixels] = []
    batches: list[dict[str, NDArray[np.float32]]] = []
    for cut in _cuts(images, scheme, backbone.files.preprocessing, threads):
        on_image(1)
        if cut.failure is not None:
            failures[cut.image_id] = cut.failure
            continue
        image_ids += [cut.image_id] * len(cut.tiles)
        tiles += cut.tiles
        waiting += cut.pixels
        while len(waiting) >= batch_size:
            batches.append(backbone.embed(np.stack(waiting[:batch_size])))
            del waiting[:batch_size]
    if waiting:
        batches.append(backbone.embed(np.stack(waiting)))
    empty = np.empty((0, backbone.dimension), np.float32)
    vectors = {
        pooling: np.concatenate([batch[pooling] for batch in batches]) if batches else empty for pooling in POOLINGS
    }
    return _without_broken(EmbeddedTiles(image_ids, tiles, vectors, failures))


def _cuts(images: Iterable[EncodedImage], scheme: Grid, steps: Preprocessing, threads: int) -> Iterator[_Cut]:
    """Decode and cut ahead of the consumer, in order, at most a few photographs ahead."""
    ahead: deque[Future[_Cut]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for image in images:
            ahead.append(pool.submit(_cut, image, scheme, steps))
            if len(ahead) > 4 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _cut(image: EncodedImage, scheme: Grid, steps: Preprocessing) -> _Cut:
    try:
        decoded = decode(image.content)
        tiles = scheme.tiles(*decoded.size)
        return _Cut(image.image_id, tiles, [prepare(decoded, tile, steps) for tile in tiles])
    except TilingError as error:
        return _Cut(image.image_id, [], [], str(error))
    except UnidentifiedImageError:
        # Pillow's own words hold a memory address, which differs in each run.
        return _Cut(image.image_id, [], [], "not an image in any format that is read")
    except MemoryError:  # says nothing about the photograph: the same one may pass in the next run
        raise
    # Decoders raise whatever their format's parser does; one photograph must not end the run of the others.
    except Exception as error:
        return _Cut(image.image_id, [], [], f"{type(error).__name__}: {error}")


def _without_broken(embedded: EmbeddedTiles) -> EmbeddedTiles:
    """Set photographs aside of which a tile has a vector that is not finite: it would spoil every mean after it."""
    finite = np.ones(len(embedded.tiles), dtype=bool)
    for vectors in embedded.vectors.values():
        finite &= np.isfinite(vectors).all(axis=1)
    if finite.all():
        return embedded
    broken = {embedded.image_ids[position] for position in np.flatnonzero(~finite)}
    keep = [position for position, image_id in enumerate(embedded.image_ids) if image_id not in broken]
    return EmbeddedTiles(
        [embedded.image_ids[position] for position in keep],
        [embedded.tiles[position] for position in keep],
        {pooling: vectors[keep] for pooling, vectors in embedded.vectors.items()},
        embedded.failures | dict.fromkeys(broken, "the embedding holds NaN or infinity"),
    )
