"""Photographs to vectors: what has none under an embedding key and a tiling gets them, shard by shard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, progress, run_task, say, told
from lake import embeddings, ledger, tables
from lake.embeddings import PendingImage
from modeling import backbones, embedding
from modeling.backbones import Backbone, BackboneFiles, EmbeddingSpec
from modeling.tiling import Grid, parse


class EmbedReport(BaseModel):
    """What became of the images of a data set. ``set_aside`` are those that failed now."""

    dataset: str
    embedding_key: str
    backbone: str
    dtype: str
    scheme_id: str
    images: int
    embedded: int
    reused: int
    set_aside: int
    tiles: int
    images_per_second: float | None
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.committed:
            return [
                f"{self.dataset}: nothing new to embed at {self.scheme_id} ({self.reused} of {self.images} images have "
                f"their vectors); no backbone was loaded"
            ]
        speed = f", {self.images_per_second:.0f} images/s" if self.images_per_second else ""
        return [
            f"{self.dataset}: embedded {self.embedded} images ({self.tiles} tiles at {self.scheme_id}), reused "
            f"{self.reused}, set aside {self.set_aside}; {self.dtype}, key {self.embedding_key}{speed}"
        ]


@dataclass(frozen=True)
class _Shard:
    """What one commit of embeddings is made of."""

    tile_count: int
    set_aside: int
    byte_count: int


def embed_shard(
    place: settings.Settings,
    dataset: str,
    backbone: Backbone,
    scheme: Grid,
    images: list[PendingImage],
    planned_on: tables.Snapshot,
    run_id: str,
    on_image: Callable[[int], None],
) -> tuple[_Shard, tables.Snapshot]:
    """Read, embed and commit one shard; what fails is set aside first, so that it is never lost between the two."""
    lake = place.lake
    content = embeddings.read_bytes(lake, tables.latest(lake, "images")[0], images)
    encoded = (embedding.EncodedImage(image_id, data) for image_id, data in content.items())
    made = embedding.embed(encoded, backbone, scheme, place.batch_size, place.threads, on_image)
    if made.failures:
        embeddings.set_aside(lake, dataset, backbone.spec.key, scheme.scheme_id, made.failures, images, run_id)
    columns: dict[str, Sequence[object]] = {
        "image_id": made.image_ids,
        "tile_index": [tile.index for tile in made.tiles],
        "tile_row": [tile.row for tile in made.tiles],
        "tile_column": [tile.column for tile in made.tiles],
        **{edge: [getattr(tile, edge) for tile in made.tiles] for edge in ("x0", "y0", "x1", "y1")},
    }
    done = embeddings.append_vectors(
        lake, backbone.spec.key, scheme.scheme_id, columns, made.vectors, planned_on, run_id
    )
    size = sum(map(len, content.values()))
    return _Shard(len(made.tiles), len(made.failures), size), done.snapshot


embed_task = task(name="embed-shard", retries=1, retry_delay_seconds=5, cache_policy=NO_CACHE)(embed_shard)


@flow(name="embed")
def embed(
    dataset: str,
    backbone: str | None = None,
    tiling: str | None = None,
    dtype: str | None = None,
    home: Path | None = None,
) -> EmbedReport:
    """Embed what is pending of a data set.

    Args:
        dataset: The data set.
        backbone: Hub name or folder.
        tiling: whole or grid-RxC.
        dtype: float32, bfloat16 or auto.
        home: The place's home.
    """
    place = settings.load(home=home, backbone=backbone, tiling=tiling, dtype=dtype)
    embeddings.require_dataset(place.lake, dataset)
    files = backbones.find(place.backbone)
    spec = EmbeddingSpec(files.weights_hash, files.preprocessing, backbones.resolve_dtype(place.dtype, place.device))
    pending = embeddings.pending(place.lake, dataset, spec.key, place.tiling)
    report = embed_pending(place, dataset, files, spec, pending, flow_run_id())
    embeddings.check_all_embedded(place.lake, dataset, spec.key, place.tiling)
    return told(report)


def ensure_embedded(
    place: settings.Settings,
    dataset: str,
    embedding_key: str,
    backbone: str,
    dtype: str,
    run_id: str,
    among: list[str] | None = None,
) -> None:
    """Embed what a later stage needs, under a key that it already knows.

    The backbone is not even looked for when every image that matters has its vectors.

    Args:
        place: Settings: home and tiling.
        dataset: The data set.
        embedding_key: What the vectors have to be; a backbone that makes others is refused.
        backbone: Hub name or folder.
        dtype: The number type of the key.
        run_id: The flow run that writes.
        among: The observations that matter; all by default.
    """
    pending = embeddings.pending(place.lake, dataset, embedding_key, place.tiling, among)
    if not pending:
        return
    files = backbones.find(backbone)
    spec = EmbeddingSpec(files.weights_hash, files.preprocessing, dtype)
    backbones.require_key(spec, embedding_key, backbone)
    for line in embed_pending(place, dataset, files, spec, pending, run_id).lines():
        say(line)


def embed_pending(
    place: settings.Settings,
    dataset: str,
    files: BackboneFiles,
    spec: EmbeddingSpec,
    pending: list[PendingImage],
    run_id: str,
) -> EmbedReport:
    """Load the backbone, if there is anything pending, and embed shard by shard."""
    clock, lake, scheme = Clock(), place.lake, parse(place.tiling)
    (known_on,) = tables.latest(lake, "embeddings")
    image_count = embeddings.require_dataset(lake, dataset)
    reused = embeddings.embedded_count(lake, dataset, spec.key, scheme.scheme_id)
    shards: list[_Shard] = []
    if pending:
        network = Backbone(files, spec.dtype, place.device)
        embeddings.append_spec(
            lake,
            {
                "embedding_key": spec.key,
                "backbone": files.name,
                "weights_hash": files.weights_hash,
                "dimension": network.dimension,
                "spec": spec.json,
            },
            run_id,
        )
        size = max(1, place.embed_shard_tiles // (scheme.rows * scheme.cols))
        with progress(f"embed {dataset} at {scheme.scheme_id}", len(pending), "images") as advance:
            for images in embeddings.shards(pending, size):
                shard, known_on = run_task(
                    embed_task, place, dataset, network, scheme, images, known_on, run_id, advance
                )
                shards.append(shard)
    embedded = len(pending) - sum(shard.set_aside for shard in shards)
    if pending:
        read = sum(shard.byte_count for shard in shards)
        ledger.record_stage(lake, run_id, "embed", dataset, embedded, reused, clock.seconds, read, embedded)
    return EmbedReport(
        dataset=dataset,
        embedding_key=spec.key,
        backbone=files.name,
        dtype=spec.dtype,
        scheme_id=scheme.scheme_id,
        images=image_count,
        embedded=embedded,
        reused=reused,
        set_aside=sum(shard.set_aside for shard in shards),
        tiles=sum(shard.tile_count for shard in shards),
        images_per_second=embedded / clock.seconds if pending else None,
        snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "images", "embeddings")},
        committed=bool(pending),
    )
