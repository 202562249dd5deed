"""Photographs on their way to vectors and back: pending work, bytes, vectors. Knows no model."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from lake import blobs, issues, query, tables
from lake.errors import LakeError
from lake.schemas import TABLES
from lake.tables import Appended, KnownKeys, Lake, Snapshot

Matrix = NDArray[np.float32]
_READ_BYTES = 8 << 20  # of photographs, about, at a time: four such pieces are on their way at once
_ROWS_AT_ONCE = 16_384  # of vectors, on their way into a matrix


@dataclass(frozen=True)
class PendingImage:
    """An image that waits for its embedding, under one scheme or several."""

    image_id: str
    image_name: str
    byte_count: int
    ingested_at: datetime
    width_px: int = 0  # upright
    height_px: int = 0
    scheme_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownKey:
    """An embedding key that a data set has vectors under."""

    embedding_key: str
    image_count: int
    backbone: str
    weights_hash: str
    spec: str


@dataclass(frozen=True)
class Vectors:
    """The embeddings of some images: one row per tile, ordered by image and tile."""

    image_ids: list[str]  # (N)
    tile_indices: NDArray[np.int32]  # (N)
    poolings: dict[str, Matrix]  # pooling -> (N, D)


def pending(lake: Lake, dataset: str, embedding_key: str, scheme_ids: Sequence[str]) -> list[PendingImage]:
    """Return the images of a data set without embeddings, in the order in which they lie in the files.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        embedding_key: Under which they have none.
        scheme_ids: At one of which at least they have none.

    Raises:
        LakeError: If the lake holds no photograph of the data set.
    """
    require_dataset(lake, dataset)
    waiting: dict[str, dict[str, Any]] = {}
    for scheme_id in scheme_ids:
        rows = query.answer(
            lake,
            "pending/images_to_embed",
            tables.latest(lake, "image_records", "images", "boxes", "embeddings", "ingest_issues"),
            dataset=dataset,
            embedding_key=embedding_key,
            scheme_id=scheme_id,
        )
        for row in rows.to_pylist():
            known = waiting.setdefault(row["image_id"], {**row, "scheme_ids": ()})
            known["scheme_ids"] += (scheme_id,)
    return sorted((PendingImage(**row) for row in waiting.values()), key=lambda one: (one.ingested_at, one.image_id))


def of_observations(
    lake: Lake, dataset: str, images: Sequence[PendingImage], observation_ids: Collection[str]
) -> list[PendingImage]:
    """Return those of some images that show one of these observations of a data set."""
    (records,) = tables.latest(lake, "image_records")
    wanted = set(observation_ids)
    places = query.answer(lake, "pending/known_records", [records], dataset=dataset).to_pylist()
    members = {row["image_id"] for row in places if row["observation_id"] in wanted}
    return [image for image in images if image.image_id in members]


def shards(
    images: Sequence[PendingImage], most_tiles: int, tiles_of: Callable[[PendingImage], int]
) -> list[list[PendingImage]]:
    """Cut pending work into lists, in its order, each with about as many tiles as are committed together.

    Args:
        images: What is pending.
        most_tiles: After which a list ends; a list has one image at least.
        tiles_of: About how many tiles an image has under the schemes that it waits for.
    """
    cut: list[list[PendingImage]] = []
    weight = 0
    for image in images:
        tiles = tiles_of(image)
        if not cut or weight + tiles > most_tiles:
            cut.append([])
            weight = 0
        cut[-1].append(image)
        weight += tiles
    return cut


def require_dataset(lake: Lake, dataset: str) -> int:
    """Return the number of images of a data set.

    Raises:
        LakeError: If there is none; the data sets that there are are named.
    """
    snapshots = tables.latest(lake, "image_records", "labels", "ingest_issues")
    counts = {
        row["dataset"]: row["images"] for row in query.answer(lake, "audit/dataset_counts", snapshots).to_pylist()
    }
    if not counts.get(dataset):
        there = ", ".join(sorted(counts)) or "none"
        raise LakeError(
            f"there is no photograph of a data set {dataset!r} in {lake.root}; data sets: {there}. "
            f"`taxalake ingest` brings photographs in."
        )
    return int(counts[dataset])


def read_bytes(lake: Lake, images: Snapshot, wanted: Sequence[PendingImage]) -> Iterator[tuple[PendingImage, bytes]]:
    """Yield images with their bytes, as ``read_pieces`` reads them."""
    for piece in read_pieces(lake, images, wanted):
        yield from piece


def read_pieces(
    lake: Lake, images: Snapshot, wanted: Sequence[PendingImage]
) -> Iterator[list[tuple[PendingImage, bytes]]]:
    """Yield some images at a time with their bytes, in the order in which they lie in the files.

    While some are used the next ones are read, and nothing beyond these, however slowly they are used: the scanners of
    Polars and Arrow would read on.

    Raises:
        LakeError: If one is not in the table, or lies in a file of its own and is missing there or damaged.
    """
    pieces = _pieces(lake, images, wanted)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece


def _pieces(lake: Lake, images: Snapshot, wanted: Sequence[PendingImage]) -> Iterator[list[tuple[PendingImage, bytes]]]:
    by_id = {image.image_id: image for image in wanted}
    found = 0
    piece: list[tuple[PendingImage, bytes]] = []
    weight = 0
    for group in _row_groups(lake, images, by_id):
        for image_id, content, uri in _rows(group, by_id):
            piece.append((by_id[image_id], content if uri is None else blobs.get(lake, image_id, uri)))
            found += 1
            weight += by_id[image_id].byte_count
            if weight >= _READ_BYTES:
                yield piece
                piece, weight = [], 0
    if piece:
        yield piece
    if found != len(by_id):
        raise LakeError(f"{len(by_id)} photographs were asked of {images}, but {found} of them are there")


def _row_groups(lake: Lake, images: Snapshot, wanted: Mapping[str, PendingImage]) -> Iterator[pads.ParquetFileFragment]:
    """Yield the row groups that hold wanted images."""
    if not wanted:
        return
    times = [image.ingested_at for image in wanted.values()]
    # Files are skipped by time: ids are hashes and lie anywhere.
    when = (pc.field("ingested_at") >= min(times)) & (pc.field("ingested_at") <= max(times))
    photographs = tables.open_table(lake, images.table, images.version).to_pyarrow_dataset()
    for file in photographs.get_fragments(when):
        ids = file.to_table(photographs.schema, ["image_id"])["image_id"].to_pylist()
        start = 0
        for group in file.split_by_row_group():
            end = start + group.row_groups[0].num_rows
            if not wanted.keys().isdisjoint(ids[start:end]):
                yield group
            start = end


def _rows(
    group: pads.ParquetFileFragment, wanted: Mapping[str, PendingImage]
) -> Iterator[tuple[str, bytes, str | None]]:
    rows = group.to_table(columns=["image_id", "bytes", "blob_uri"], use_threads=False)
    columns = (rows["image_id"].to_pylist(), rows["bytes"], rows["blob_uri"].to_pylist())
    for image_id, content, uri in zip(*columns, strict=True):
        if image_id in wanted:
            yield image_id, content.as_py(), uri


def images_of(lake: Lake, images: Snapshot, image_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes of a few images by image_id, wherever they lie.

    Raises:
        LakeError: If one that lies in a file of its own is missing there or damaged.
    """
    found = (
        tables.scan(lake, images)
        .filter(pl.col("image_id").is_in(image_ids))
        .select("image_id", "bytes", "blob_uri")
        .collect()
    )
    return {
        image_id: content if uri is None else blobs.get(lake, image_id, uri)
        for image_id, content, uri in found.iter_rows()
    }


def append_spec(lake: Lake, row: Mapping[str, object], flow_run_id: str) -> Appended:
    """Record what an embedding key stands for: embedding_key, backbone, weights_hash, dimension, spec and, of another
    dtype than float32, the cosine of its vectors to those.
    """
    whole = {**row, "recorded_at": datetime.now(UTC), "flow_run_id": flow_run_id}
    return tables.append(
        lake, "embedding_specs", pa.Table.from_pylist([whole], schema=TABLES["embedding_specs"].columns)
    )


def recorded_spec(lake: Lake, embedding_key: str) -> dict[str, Any] | None:
    """Return what is on record of an embedding key, if anything."""
    (specs,) = tables.latest(lake, "embedding_specs")
    found = tables.scan(lake, specs).filter(pl.col("embedding_key") == embedding_key).collect()
    return found.row(0, named=True) if len(found) else None


class VectorWriter:
    """Appends the vectors of shard after shard, for several threads."""

    def __init__(self, lake: Lake, embedding_key: str, planned_on: Snapshot, flow_run_id: str) -> None:
        """Begin to write under a key.

        Args:
            lake: The place of the tables.
            embedding_key: Under which the vectors are made.
            planned_on: Where the pending work was looked up, so that only what others add has to be looked at.
            flow_run_id: The flow run that writes.
        """
        self._lake = lake
        self._constants = {"embedding_key": embedding_key, "flow_run_id": flow_run_id}
        self._known = KnownKeys(lake, "embeddings", absent_in=planned_on)
        self._lock = threading.Lock()

    def append(self, tiles: pa.Table) -> Appended:
        """Append the vectors of a shard in one commit.

        Args:
            tiles: One row per tile, all tiles of an image under a scheme together: image_id, scheme_id, tile_index,
                tile_level, tile_row, tile_column, x0, y0, x1, y1 and the poolings.
        """
        schema = TABLES["embeddings"].columns
        for name, value in {**self._constants, "embedded_at": datetime.now(UTC)}.items():
            tiles = tiles.append_column(name, pa.repeat(pa.scalar(value, schema.field(name).type), len(tiles)))
        with self._lock:
            return tables.append(self._lake, "embeddings", tiles, known=self._known)


def set_aside(
    lake: Lake,
    dataset: str,
    embedding_key: str,
    failures: Mapping[tuple[str, str], str],
    images: Sequence[PendingImage],
    flow_run_id: str,
) -> None:
    """Record images that could not be embedded, by image_id and scheme_id, with the reason.

    They are not tried again under this key and scheme; another tiling or backbone may well take them.
    """
    names = {image.image_id: image.image_name for image in images}
    for scheme_id in sorted({scheme_id for _, scheme_id in failures}):
        details = {names[image_id]: reason for (image_id, scheme), reason in failures.items() if scheme == scheme_id}
        issues.note(lake, dataset, f"not_embedded:{embedding_key}:{scheme_id}", details, flow_run_id)


def embedded_count(lake: Lake, dataset: str, embedding_key: str, scheme_id: str) -> int:
    """Return how many images of a data set have vectors under a key and scheme."""
    keys = known_keys(lake, dataset, scheme_id)
    return next((key.image_count for key in keys if key.embedding_key == embedding_key), 0)


def check_all_embedded(lake: Lake, dataset: str, embedding_key: str, scheme_id: str) -> None:
    """Hold the tables against the rule that every image is embedded or set aside.

    Raises:
        CheckFailedError: If one is neither.
    """
    query.check(
        lake,
        "every_image_is_embedded_or_set_aside",
        tables.latest(lake, "image_records", "boxes", "embeddings", "ingest_issues"),
        dataset=dataset,
        embedding_key=embedding_key,
        scheme_id=scheme_id,
    )


def known_keys(lake: Lake, dataset: str, scheme_id: str) -> list[KnownKey]:
    """Return the keys that a data set has vectors under, the one with the most and newest first."""
    rows = query.answer(
        lake,
        "training/embedding_keys",
        tables.latest(lake, "image_records", "embeddings", "embedding_specs"),
        dataset=dataset,
        scheme_id=scheme_id,
    )
    return [KnownKey(**row) for row in rows.to_pylist()]


def read_vectors(
    lake: Lake,
    snapshot: Snapshot,
    embedding_key: str,
    scheme_id: str,
    image_ids: Sequence[str],
    poolings: Sequence[str],
) -> Vectors:
    """Return the embeddings of some images; images without any are left out."""
    found = (
        tables.scan(lake, snapshot)
        .filter(
            pl.col("embedding_key") == embedding_key,
            pl.col("scheme_id") == scheme_id,
            pl.col("image_id").is_in(image_ids),
        )
        .select("image_id", "tile_index", *poolings)
        .sort("image_id", "tile_index")
        .collect()
    )
    return Vectors(
        found["image_id"].to_list(),
        found["tile_index"].to_numpy(),
        {pooling: _matrix(found[pooling]) for pooling in poolings},
    )


@dataclass(frozen=True)
class Tiles:
    """Which tiles of some images have vectors, in an order: N rows."""

    image_ids: list[str]
    scheme_ids: list[str]
    tile_indices: NDArray[np.int32]
    lengths: dict[str, int]  # of the vectors of each pooling

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.image_ids)


def tiles_of(
    lake: Lake,
    snapshot: Snapshot,
    embedding_key: str,
    scheme_ids: Sequence[str],
    image_ids: Sequence[str],
    poolings: Sequence[str],
) -> Tiles:
    """Return the tiles of some images that have vectors, image by image as they are given; reads no vector but one."""
    vectors = tables.scan(lake, snapshot).filter(
        pl.col("embedding_key") == embedding_key, pl.col("scheme_id").is_in(list(scheme_ids))
    )
    order = pl.LazyFrame({"image_id": image_ids}, {"image_id": pl.String}).with_row_index("place")
    found = (
        vectors.select("image_id", "scheme_id", "tile_index")
        .join(order, on="image_id")
        .sort("place", "scheme_id", "tile_index")
        .collect()
    )
    first = vectors.select(pl.col(pooling).list.len() for pooling in poolings).head(1).collect()
    return Tiles(
        found["image_id"].to_list(),
        found["scheme_id"].to_list(),
        found["tile_index"].to_numpy(),
        {pooling: int(first[pooling][0]) if len(first) else 0 for pooling in poolings},
    )


def read_into(matrix: Matrix, lake: Lake, snapshot: Snapshot, embedding_key: str, tiles: Tiles) -> None:
    """Read the vectors of tiles into a matrix, poolings side by side, a batch of the table at a time.

    Args:
        matrix: (N, D) to be filled; D is the sum of ``tiles.lengths``. Perhaps mapped from a file.
        lake: The place of the tables.
        snapshot: Of ``embeddings``, in which ``tiles`` were found.
        embedding_key: Under which the vectors were made.
        tiles: N tiles.

    Raises:
        LakeError: If a vector holds NaN or infinity.
    """
    keys = {"image_id": pl.String, "scheme_id": pl.String, "tile_index": pl.Int32}
    order = pl.LazyFrame((tiles.image_ids, tiles.scheme_ids, tiles.tile_indices), keys)
    wanted = (
        tables.scan(lake, snapshot)
        .filter(pl.col("embedding_key") == embedding_key, pl.col("scheme_id").is_in(sorted(set(tiles.scheme_ids))))
        .select(*keys, *tiles.lengths)
        .join(order.with_row_index("place"), on=list(keys))
        .select("place", *tiles.lengths)
    )
    for batch in wanted.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=False):
        start = 0
        places = batch["place"].to_numpy()
        for pooling, length in tiles.lengths.items():
            vectors = _matrix(batch[pooling])
            if not np.isfinite(vectors).all():
                at = int(places[np.isfinite(vectors).all(axis=1).argmin()])
                raise LakeError(
                    f"the {pooling} of image {tiles.image_ids[at]} ({tiles.scheme_ids[at]}, tile "
                    f"{tiles.tile_indices[at]}) under the embedding key {embedding_key} holds NaN or infinity: embed "
                    f"with another dtype or backbone, and train on that"
                )
            matrix[places, start : start + length] = vectors
            start += length


def _matrix(column: pl.Series) -> Matrix:
    """Return N lists of D numbers as (N, D)."""
    if not len(column):
        return np.empty((0, 0), np.float32)
    # Through Arrow the values come as one flat array, without a copy for each row.
    return column.explode().to_numpy().reshape(len(column), -1)
