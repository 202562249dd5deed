"""Photographs on their way to vectors and back: pending work, bytes, vectors. Knows no model."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from lake import blobs, issues, query, tables
from lake.errors import LakeError
from lake.schemas import TABLES, VECTOR
from lake.tables import Appended, Lake, Snapshot

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class PendingImage:
    """An image that waits for its embedding."""

    image_id: str
    image_name: str
    byte_count: int
    ingested_at: datetime


@dataclass(frozen=True)
class KnownKey:
    """An embedding key that a data set has vectors under."""

    embedding_key: str
    image_count: int
    backbone: str
    weights_hash: str
    spec: str

    @property
    def dtype(self) -> str:
        """The number type that the vectors were made in."""
        return str(json.loads(self.spec)["dtype"])


@dataclass(frozen=True)
class Vectors:
    """The embeddings of some images: one row per tile, ordered by image and tile."""

    image_ids: list[str]  # (N)
    tile_indices: NDArray[np.int32]  # (N)
    poolings: dict[str, Matrix]  # pooling -> (N, D)


def pending(
    lake: Lake, dataset: str, embedding_key: str, scheme_id: str, among: Collection[str] | None = None
) -> list[PendingImage]:
    """Return the images of a data set without embeddings, in the order in which they lie in the files.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        embedding_key: Under which they have none.
        scheme_id: At which they have none.
        among: The observations that matter; all by default.

    Raises:
        LakeError: If the lake holds no photograph of the data set.
    """
    require_dataset(lake, dataset)
    rows = query.answer(
        lake,
        "pending/images_to_embed",
        tables.latest(lake, "image_records", "images", "embeddings", "ingest_issues"),
        dataset=dataset,
        embedding_key=embedding_key,
        scheme_id=scheme_id,
    )
    found = [PendingImage(**row) for row in rows.to_pylist()]
    if among is None:
        return found
    (records,) = tables.latest(lake, "image_records")
    wanted = set(among)
    places = query.answer(lake, "pending/known_records", [records], dataset=dataset).to_pylist()
    members = {row["image_id"] for row in places if row["observation_id"] in wanted}
    return [image for image in found if image.image_id in members]


def shards(images: Sequence[PendingImage], most_images: int, most_bytes: int = 256 << 20) -> list[list[PendingImage]]:
    """Cut pending work into lists, in its order; the photographs of a list fit into memory."""
    cut: list[list[PendingImage]] = []
    weight = 0
    for image in images:
        if not cut or len(cut[-1]) == most_images or weight + image.byte_count > most_bytes:
            cut.append([])
            weight = 0
        cut[-1].append(image)
        weight += image.byte_count
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


def read_bytes(lake: Lake, images: Snapshot, wanted: Sequence[PendingImage]) -> dict[str, bytes]:
    """Return the bytes of some images by image_id, in the order asked.

    Raises:
        LakeError: If one that lies in a file of its own is missing there or damaged.
    """
    ids = [image.image_id for image in wanted]
    times = [image.ingested_at for image in wanted]
    # Files are skipped by time: ids are hashes and lie anywhere.
    found = _bytes(lake, images, pl.col("ingested_at").is_between(min(times), max(times)), ids)
    return {image_id: found[image_id] for image_id in ids}


def images_of(lake: Lake, images: Snapshot, image_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes of a few images by image_id, wherever they lie.

    Raises:
        LakeError: If one that lies in a file of its own is missing there or damaged.
    """
    return _bytes(lake, images, pl.lit(True), image_ids)


def _bytes(lake: Lake, images: Snapshot, where: pl.Expr, image_ids: Sequence[str]) -> dict[str, bytes]:
    found = (
        tables.scan(lake, images)
        .filter(where, pl.col("image_id").is_in(image_ids))
        .select("image_id", "bytes", "blob_uri")
        .collect()
    )
    return {
        image_id: content if uri is None else blobs.get(lake, image_id, uri)
        for image_id, content, uri in found.iter_rows()
    }


def append_spec(lake: Lake, row: Mapping[str, object], flow_run_id: str) -> Appended:
    """Record what an embedding key stands for: embedding_key, backbone, weights_hash, dimension and spec."""
    whole = {**row, "recorded_at": datetime.now(UTC), "flow_run_id": flow_run_id}
    return tables.append(
        lake, "embedding_specs", pa.Table.from_pylist([whole], schema=TABLES["embedding_specs"].columns)
    )


def append_vectors(
    lake: Lake,
    embedding_key: str,
    scheme_id: str,
    tiles: Mapping[str, Sequence[object]],
    vectors: Mapping[str, Matrix],
    planned_on: Snapshot,
    flow_run_id: str,
) -> Appended:
    """Append the vectors of a shard in one commit, all tiles of an image together.

    Args:
        lake: The place of the tables.
        embedding_key: Under which they were made.
        scheme_id: How the images were cut.
        tiles: image_id, tile_index, tile_row, tile_column, x0, y0, x1, y1: N values each.
        vectors: Pooling to (N, D) float32.
        planned_on: Where the pending work was looked up.
        flow_run_id: The flow run that writes.
    """
    count = len(tiles["image_id"])
    schema = TABLES["embeddings"].columns
    columns: dict[str, pa.Array] = {name: pa.array(values, schema.field(name).type) for name, values in tiles.items()}
    columns |= {pooling: _lists(matrix) for pooling, matrix in vectors.items()}
    constants = {
        "embedding_key": embedding_key,
        "scheme_id": scheme_id,
        "embedded_at": datetime.now(UTC),
        "flow_run_id": flow_run_id,
    }
    columns |= {name: pa.repeat(pa.scalar(value, schema.field(name).type), count) for name, value in constants.items()}
    return tables.append(lake, "embeddings", pa.table(columns), planned_on)


def set_aside(
    lake: Lake,
    dataset: str,
    embedding_key: str,
    scheme_id: str,
    failures: Mapping[str, str],
    images: Sequence[PendingImage],
    flow_run_id: str,
) -> Appended:
    """Record images that could not be embedded, by image_id, with the reason.

    They are not tried again under this key and scheme; another tiling or backbone may well take them.
    """
    names = {image.image_id: image.image_name for image in images}
    details = {names[image_id]: reason for image_id, reason in failures.items()}
    return issues.note(lake, dataset, f"not_embedded:{embedding_key}:{scheme_id}", details, flow_run_id)


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
        tables.latest(lake, "image_records", "embeddings", "ingest_issues"),
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


def _lists(matrix: Matrix) -> pa.Array:
    """Return (N, D) as N lists, without a copy for each row."""
    rows, dimension = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * dimension)
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel(), pa.float32())).cast(VECTOR)


def _matrix(column: pl.Series) -> Matrix:
    """Return N lists of D numbers as (N, D)."""
    if not len(column):
        return np.empty((0, 0), np.float32)
    # Through Arrow the values come as one flat array, without a copy for each row.
    return column.explode().to_numpy().reshape(len(column), -1)
