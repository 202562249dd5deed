"""Photographs to vectors: what has none under an embedding key and a tiling gets them, shard by shard."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.embed_shards import Shard, embed_all, gpu_slot, record_spec
from flows.orchestration import Clock, flow_run_id, say, told
from lake import boxes, embeddings, ledger, tables
from lake.embeddings import PendingImage
from modeling import backbones
from modeling.backbones import LEAST_COSINE, Backbone, BackboneFiles, EmbeddingSpec
from modeling.embedding import EncodedImage, cosine_to_float32
from modeling.errors import BackboneError
from modeling.tiling import Boxes, parse

_SAMPLE = 16  # images on which a fast dtype is held against float32


class SchemeCounts(BaseModel):
    """What became of the images of a data set under one scheme; the images are the sum of all but the tiles."""

    images: int
    embedded: int
    reused: int
    set_aside: int  # now or before
    without_boxes: int
    waiting: int  # not asked for by the stage that needed the others
    tiles: int  # of the images embedded now


class EmbedReport(BaseModel):
    """What became of the images of a data set."""

    dataset: str
    embedding_key: str
    backbone: str
    dtype: str
    schemes: dict[str, SchemeCounts]
    seconds: float
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        if not self.committed:
            return [f"{self._line(scheme_id)}; no backbone was loaded" for scheme_id in self.schemes]
        tiles = sum(counts.tiles for counts in self.schemes.values())
        how = f"{self.dtype}, key {self.embedding_key}, {tiles / self.seconds:.0f} tiles/s"
        return [f"{self._line(scheme_id)}; {how}" for scheme_id in self.schemes]

    def _line(self, scheme_id: str) -> str:
        counts = self.schemes[scheme_id]
        waiting = f", {counts.without_boxes} have no boxes" if counts.without_boxes else ""
        if not counts.embedded and not self.committed:
            return (
                f"{self.dataset}: nothing new to embed at {scheme_id} ({counts.reused} of {counts.images} images have "
                f"their vectors{waiting})"
            )
        return (
            f"{self.dataset}: embedded {counts.embedded} images ({counts.tiles} tiles at {scheme_id}), reused "
            f"{counts.reused}, set aside {counts.set_aside}{waiting}"
        )


@flow(name="embed")
def embed(
    dataset: str,
    backbone: str | None = None,
    tiling: str | list[str] | None = None,
    dtype: str | None = None,
    jpeg_round_trip: str | None = None,
    home: Path | None = None,
) -> EmbedReport:
    """Embed what is pending of a data set.

    Args:
        dataset: The data set.
        backbone: Hub name or folder.
        tiling: One scheme or several, which share the decoding: whole, grid-RxC, pyramid-PX-A..B, window-PX-sS-bB or
            boxes-NAME.
        dtype: float32, bfloat16 or auto.
        jpeg_round_trip: QUALITY-SUBSAMPLING, such as 85-4:2:2: what each tile is encoded in and decoded from first.
        home: The place's home.
    """
    schemes = [tiling] if isinstance(tiling, str) else tiling or []
    place = settings.load(home=home, backbone=backbone, dtype=dtype, jpeg_round_trip=jpeg_round_trip)
    scheme_ids = list(dict.fromkeys(parse(scheme).scheme_id for scheme in schemes)) or place.tilings
    embeddings.require_dataset(place.lake, dataset)
    run_id = flow_run_id()
    files = backbones.with_round_trip(backbones.find(place.backbone), place.jpeg_round_trip)
    spec = _trusted_spec(place, dataset, files, scheme_ids, run_id)
    report = embed_pending(place, dataset, files, spec, scheme_ids, run_id)
    for scheme_id in scheme_ids:
        embeddings.check_all_embedded(place.lake, dataset, spec.key, scheme_id)
    return told(report)


def ensure_embedded(
    place: settings.Settings,
    dataset: str,
    recorded_spec: str,
    backbone: str,
    run_id: str,
    among: Collection[str] | None = None,
    stage_name: str = "embed",
) -> EmbedReport | None:
    """Embed what a later stage needs, under a spec that it already knows; return what became of it, if there was any.

    The backbone is not even looked for when every image that matters has its vectors.

    Args:
        place: Settings: home and tiling.
        dataset: The data set.
        recorded_spec: How the vectors have to be made, as JSON; a backbone that makes others is refused.
        backbone: Hub name or folder.
        run_id: The flow run that writes.
        among: The observations that matter; all by default.
        stage_name: Of its row in the cost ledger; another one for each time in a flow run.
    """
    lake, key = place.lake, backbones.key_of(recorded_spec)
    for tiling in place.tilings:
        if isinstance(parse(tiling), Boxes):
            # A name that no boxes have would have nothing pending, and every observation be answered with no species.
            boxes.require_boxes(lake, dataset, tiling)
    pending = embeddings.pending(lake, dataset, key, place.tilings)
    if not pending or (among is not None and not embeddings.of_observations(lake, dataset, pending, among)):
        return None
    files, spec = backbones.as_recorded(backbones.find(backbone), recorded_spec, backbone)
    if spec.dtype != "float32" and embeddings.recorded_spec(lake, key) is None:
        # Of a model that was not trained here.
        cosine = _measured(place, files, spec, pending, run_id)
        if cosine is not None and cosine < LEAST_COSINE:
            raise BackboneError(f"{_too_far(files, spec, cosine)}; the model has to be made anew with --dtype float32")
    report = embed_pending(place, dataset, files, spec, place.tilings, run_id, among, stage_name)
    for line in report.lines():
        say(line)
    return report


def embed_pending(
    place: settings.Settings,
    dataset: str,
    files: BackboneFiles,
    spec: EmbeddingSpec,
    scheme_ids: Sequence[str],
    run_id: str,
    among: Collection[str] | None = None,
    stage_name: str = "embed",
) -> EmbedReport:
    """Load the backbone, if there is anything pending, and embed shard by shard."""
    clock, lake = Clock(), place.lake
    (planned_on,) = tables.latest(lake, "embeddings")
    images = embeddings.require_dataset(lake, dataset)
    with_boxes = {
        scheme_id: boxes.require_boxes(lake, dataset, scheme_id) if isinstance(parse(scheme_id), Boxes) else images
        for scheme_id in scheme_ids
    }
    reused = {scheme_id: embeddings.embedded_count(lake, dataset, spec.key, scheme_id) for scheme_id in scheme_ids}
    waiting = embeddings.pending(lake, dataset, spec.key, scheme_ids)
    pending = waiting if among is None else embeddings.of_observations(lake, dataset, waiting, among)
    done = Shard()
    if pending:
        devices = backbones.resolve_devices(place.device)
        done = embed_all(place, dataset, files, spec.dtype, devices, pending, planned_on, run_id)
        ledger.record_stage(
            lake,
            run_id,
            stage_name,
            dataset,
            sum(done.embedded.values()),
            sum(reused.values()),
            clock.seconds,
            done.byte_count,
            sum(done.embedded.values()),
            asdict(done.seconds),
        )
    before, after = (
        Counter(scheme_id for image in some for scheme_id in image.scheme_ids) for some in (waiting, pending)
    )
    return EmbedReport(
        dataset=dataset,
        embedding_key=spec.key,
        backbone=files.name,
        dtype=spec.dtype,
        schemes={
            scheme_id: SchemeCounts(
                images=images,
                embedded=done.embedded[scheme_id],
                reused=reused[scheme_id],
                set_aside=with_boxes[scheme_id]
                - reused[scheme_id]
                - before[scheme_id]
                + after[scheme_id]
                - done.embedded[scheme_id],
                without_boxes=images - with_boxes[scheme_id],
                waiting=before[scheme_id] - after[scheme_id],
                tiles=done.tiles[scheme_id],
            )
            for scheme_id in scheme_ids
        },
        seconds=clock.seconds,
        snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "images", "embeddings")},
        committed=bool(pending),
    )


def _trusted_spec(
    place: settings.Settings, dataset: str, files: BackboneFiles, scheme_ids: Sequence[str], run_id: str
) -> EmbeddingSpec:
    """Return the spec to embed under: in the fast dtype only where its vectors are those of float32, nearly.

    That is measured on photographs of the data set, once for each spec, and kept with it. Where another stage has put
    the spec on record, or none of the photographs could be embedded, it is measured before there are more vectors.

    Raises:
        BackboneError: If a dtype was asked for by name that moves the vectors too far.
    """
    spec = EmbeddingSpec(files.weights_hash, files.preprocessing, backbones.resolve_dtype(place.dtype, place.device))
    if spec.dtype == "float32":
        return spec
    recorded = embeddings.recorded_spec(place.lake, spec.key)
    cosine = None if recorded is None else recorded["cosine_to_float32"]
    if cosine is None and (pending := embeddings.pending(place.lake, dataset, spec.key, scheme_ids)):
        cosine = _measured(place, files, spec, pending, run_id)
    if cosine is None or cosine >= LEAST_COSINE:
        return spec
    if place.dtype != "auto":
        raise BackboneError(f"{_too_far(files, spec, cosine)}; say --dtype float32 or auto")
    say(f"{_too_far(files, spec, cosine)}: computing in float32")
    return replace(spec, dtype="float32")


def _too_far(files: BackboneFiles, spec: EmbeddingSpec, cosine: float) -> str:
    return (
        f"vectors of {files.name} in {spec.dtype} have a cosine of only {cosine:.4f} to those in float32, and "
        f"{LEAST_COSINE} is asked for"
    )


def _measured(
    place: settings.Settings, files: BackboneFiles, spec: EmbeddingSpec, pending: Sequence[PendingImage], run_id: str
) -> float | None:
    """Hold a fast dtype against float32 on some photographs as wholes, and keep the cosine."""
    sample = pending[:: max(1, len(pending) // _SAMPLE)][:_SAMPLE]
    (images,) = tables.latest(place.lake, "images")
    encoded = [
        EncodedImage(image.image_id, content) for image, content in embeddings.read_bytes(place.lake, images, sample)
    ]
    with gpu_slot(backbones.resolve_devices(place.device)):
        backbone = Backbone(files, spec.dtype, place.device)
        cosine = cosine_to_float32(backbone, encoded)
        backbone.release_memory()
    record_spec(place.lake, backbone, cosine, run_id)
    return cosine
