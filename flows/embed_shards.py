"""Shards of pending photographs to commits of vectors, on one device or on several at once."""

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import connection
from queue import SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from flows import events
from flows.orchestration import in_flow_run, progress, run_overlapping, say
from flows.settings import Settings
from lake import boxes, embeddings, tables
from lake.embeddings import PendingImage, VectorWriter
from lake.tables import Appended, Lake, Snapshot
from modeling.backbones import Backbone, BackboneFiles
from modeling.embedding import EmbeddedTiles, EncodedImage, Engine, Seconds, joined
from modeling.errors import BackboneError, TilingError
from modeling.tiling import Boxes, Scheme, parse

GPU_SLOTS = "taxalake-gpu"  # a global concurrency limit of Prefect, where there is one of this name
_SHARD_SECONDS = 30  # of the network, about: what a kill can cost
_SHARD_TILES = (256, 4096)  # to write 1,000 vectors of all poolings takes about 15 MB for a moment
_USUAL_TILES = 16  # of an image that is cut at boxes
Answer = TypeVar("Answer")
_COMPILING_PAYS_SECONDS = 900  # of the network: compiling takes a minute or two and saves a sixth


@dataclass
class Shard:
    """What one commit of embeddings is made of, or several."""

    tiles: Counter[str] = field(default_factory=Counter)  # by scheme
    embedded: Counter[str] = field(default_factory=Counter)  # images, by scheme
    byte_count: int = 0  # of the photographs that were read
    seconds: Seconds = field(default_factory=Seconds)

    def add(self, other: "Shard") -> None:
        """Take another one in."""
        self.tiles += other.tiles
        self.embedded += other.embedded
        self.byte_count += other.byte_count
        self.seconds += other.seconds


@dataclass(frozen=True)
class Job:
    """What all shards of a run have in common. Another process can be told it."""

    place: dict[str, Any]  # settings
    dataset: str
    files: BackboneFiles
    dtype: str
    pending_tiles: int  # about
    planned_on: Snapshot  # where the pending work was looked up
    run_id: str


def embed_all(
    place: Settings,
    dataset: str,
    files: BackboneFiles,
    dtype: str,
    devices: list[str],
    pending: list[PendingImage],
    planned_on: Snapshot,
    run_id: str,
) -> Shard:
    """Embed all that is pending and return the sum of the shards; a shard is one commit.

    The seconds are those of one process, on average: they run side by side.

    Args:
        place: Settings.
        dataset: The data set.
        files: The backbone.
        dtype: To compute in.
        devices: As torch names them; each gets a process of its own where there are several.
        pending: The images, each with the schemes that it waits for.
        planned_on: The snapshot of ``embeddings`` in which they were found pending.
        run_id: The flow run that writes.
    """
    schemes = {scheme_id: parse(scheme_id) for image in pending for scheme_id in image.scheme_ids}

    def tiles_of(image: PendingImage) -> int:
        return sum(_tile_count(schemes[scheme_id], image) for scheme_id in image.scheme_ids)

    job = Job(place.model_dump(), dataset, files, dtype, sum(map(tiles_of, pending)), planned_on, run_id)
    done = Shard()
    with ExitStack() as stack:
        stack.enter_context(gpu_slot(devices))
        # Before the bar: loading and compiling may have something to say.
        worker = worker_for(job, devices)
        stack.enter_context(worker)
        title = f"embed {dataset} at {', '.join(schemes)}"
        advance = stack.enter_context(progress(title, len(pending), "images"))
        size = place.embed_shard_tiles or worker.shard_tiles
        calls = ((worker, images, advance) for images in embeddings.shards(pending, size, tiles_of))
        for shard in run_overlapping(embed_task, calls, worker.at_once):
            done.add(shard)
        done.seconds = done.seconds / worker.processes
    return done


def embed_shard(worker: "Worker", images: list[PendingImage], on_image: Callable[[int], None]) -> Shard:
    """Read, embed and commit one shard."""
    return worker.embed(images, on_image)


def worker_for(job: Job, devices: list[str]) -> "Worker":
    """Return what embeds the shards of a job: this process, or one for each device or core."""
    if len(devices) > 1:
        return SeveralDevices(job, devices)
    alone = OneDevice(job, devices[0])
    if not alone.compiled_for_each_core:
        return alone
    # A compiled network holds on to the interpreter: threads would run it one after another.
    alone.__exit__(None, None, None)
    return SeveralDevices(job, devices * Settings(**job.place).threads)


embed_task = task(name="embed-shard", retries=1, retry_delay_seconds=5, cache_policy=NO_CACHE)(embed_shard)


class OneDevice:
    """A backbone at work in this process. While one shard is computed, another one is written."""

    at_once = 2  # shards
    processes = 1

    def __init__(self, job: Job, device: str) -> None:
        self._place, self._job = Settings(**job.place), job
        backbone = Backbone(job.files, job.dtype, device)
        self._engine = Engine(backbone, self._place.threads, self._place.batch_size, per_core=True)
        self._writer = VectorWriter(self._place.lake, backbone.spec.key, job.planned_on, job.run_id)
        record_spec(self._place.lake, backbone, None, job.run_id)
        rate = self._engine.tiles_per_second()
        self.compiled_for_each_core = False
        self._compile(job.pending_tiles / rate)
        least, most = _SHARD_TILES
        self.shard_tiles = min(max(round(rate * _SHARD_SECONDS), least), most)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.__exit__(kind, error, trace)

    def embed(self, images: list[PendingImage], on_image: Callable[[int], None]) -> Shard:
        """Read, embed and commit one shard; what fails is set aside first, so that it is never lost between the two."""
        lake, engine = self._place.lake, self._engine
        made = joined(_counted(engine.embed(encoded(lake, images)), on_image))
        began = monotonic()
        if made.failures:
            key = engine.backbone.spec.key
            embeddings.set_aside(lake, self._job.dataset, key, made.failures, images, self._job.run_id)
        self._writer.append(made.to_arrow())
        return Shard(
            Counter(made.scheme_ids),
            Counter(scheme_id for _, scheme_id in set(zip(made.image_ids, made.scheme_ids, strict=True))),
            sum(image.byte_count for image in images),
            Seconds(write=monotonic() - began) + engine.take_seconds(),
        )

    def _compile(self, seconds: float) -> None:
        """Let the engine run a compiled network: one that is there, or a new one where the work is long enough.

        Where that cannot be, the network runs as it is, unless compiling was asked for.
        """
        from modeling import compiled

        place, engine, backbone = self._place, self._engine, self._engine.backbone
        # In float32 the compiled network is no faster.
        if place.compile == "never" or (place.compile == "auto" and backbone.spec.dtype == "float32"):
            return
        package = compiled.package_of(backbone, place.home.resolve() / "compiled", engine.threads_of_a_pass)
        try:
            if not package.is_file():
                if place.compile == "auto" and seconds < _COMPILING_PAYS_SECONDS:
                    return
                say(f"compiling the network, which takes a minute or two; as it is it needs {seconds / 60:.0f} minutes")
                compiled.compile_ahead(backbone, package, engine.threads_of_a_pass)
            network = compiled.load(backbone, package)
            if backbone.device.type == "cpu" and place.threads > 1:
                self.compiled_for_each_core = True
            else:
                backbone.use(network)
        except BackboneError as error:
            if place.compile == "always":
                raise
            say(f"{error}; the network runs as it is")


def record_spec(lake: Lake, backbone: Backbone, cosine_to_float32: float | None, run_id: str) -> None:
    """Keep what an embedding key stands for, if it is not kept yet."""
    if embeddings.recorded_spec(lake, backbone.spec.key) is not None:
        return
    row = {
        "embedding_key": backbone.spec.key,
        "backbone": backbone.files.name,
        "weights_hash": backbone.files.weights_hash,
        "dimension": backbone.dimension,
        "spec": backbone.spec.json,
        "cosine_to_float32": cosine_to_float32,
    }
    embeddings.append_spec(lake, row, run_id)


class SeveralDevices:
    """A process for each device, each with a backbone of its own; a shard goes to whichever is free.

    A device that is named several times has as many processes.
    """

    def __init__(self, job: Job, devices: list[str]) -> None:
        self.at_once = self.processes = len(devices)
        threads = max(1, Settings(**job.place).threads // len(devices))
        place = job.place | {"threads": threads}
        self._job = replace(job, place=place, pending_tiles=job.pending_tiles // len(devices))
        self._devices = devices
        self._lake = Settings(**job.place).lake
        self._processes = [_process() for _ in devices]
        self._free: SimpleQueue[int] = SimpleQueue()
        for number in range(len(devices)):
            self._free.put(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.shutdown(cancel_futures=True)

    @cached_property
    def shard_tiles(self) -> int:
        """The tiles that one of the devices embeds in about half a minute."""
        return self._ask(_shard_tiles_here)

    def embed(self, images: list[PendingImage], on_image: Callable[[int], None]) -> Shard:
        """Have one shard embedded and committed."""
        shard = self._ask(_embed_here, images)
        on_image(len(images))
        return shard

    def _ask(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Have a function run in the process of a device that is free."""
        number = self._free.get()
        device = self._devices[number]
        try:
            asked = self._processes[number].submit(_ask_here, function, self._job, device, *arguments)
            answer, commits = asked.result()
        except BrokenProcessPool as error:
            self._processes[number] = _process()
            raise BackboneError(f"the process of {device} has died; what it had committed stays") from error
        finally:
            self._free.put(number)
        for commit in commits:
            events.tell(self._lake, commit)
        return answer


Worker = OneDevice | SeveralDevices
_here: OneDevice | None = None  # of a process that belongs to one device
_commits_here: list[events.Commit] = []  # of such a process, in which no flow run goes on


def _process() -> ProcessPoolExecutor:
    # Not forked: a process that has used CUDA cannot be.
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin_here)


def _begin_here() -> None:
    tables.tell_of_commits(_note_commit)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _note_commit(_: Lake, appended: Appended, rows: pa.Table) -> None:
    _commits_here.append(events.Commit.of(appended, rows))


def _ask_here(function: Callable[..., Answer], *arguments: object) -> tuple[Answer, list[events.Commit]]:
    """Return what a function returns, and what was committed since the last one."""
    answer = function(*arguments)
    commits = _commits_here.copy()
    _commits_here.clear()
    return answer, commits


def _device_here(job: Job, device: str) -> OneDevice:
    global _here
    if _here is None:
        _here = OneDevice(job, device)
    return _here


def _shard_tiles_here(job: Job, device: str) -> int:
    return _device_here(job, device).shard_tiles


def _embed_here(job: Job, device: str, images: list[PendingImage]) -> Shard:
    return _device_here(job, device).embed(images, lambda _: None)


def _end_with_parent() -> None:
    """End when the process that gives out the shards has died: nobody else would tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def encoded(lake: Lake, images: list[PendingImage]) -> Iterator[EncodedImage]:
    """Yield the photographs of a shard with the schemes that each of them waits for."""
    photographs, proposed = tables.latest(lake, "images", "boxes")
    schemes = {scheme_id: parse(scheme_id) for image in images for scheme_id in image.scheme_ids}
    boxes_of = {
        scheme_id: boxes.boxes_of(lake, proposed, scheme_id, [image.image_id for image in images])
        for scheme_id, scheme in schemes.items()
        if isinstance(scheme, Boxes)
    }
    for image, content in embeddings.read_bytes(lake, photographs, images):
        own = [schemes[scheme_id] for scheme_id in image.scheme_ids]
        for at, scheme in enumerate(own):
            if isinstance(scheme, Boxes):
                own[at] = Boxes(scheme.name, tuple(boxes_of[scheme.scheme_id][image.image_id]))
        yield EncodedImage(image.image_id, content, tuple(own))


def _counted(parts: Generator[EmbeddedTiles, None, None], on_image: Callable[[int], None]) -> Iterator[EmbeddedTiles]:
    # Closed also where telling fails: the shard that waits for its turn at the engine would wait for ever.
    with closing(parts):
        for part in parts:
            on_image(len({*part.image_ids, *(image_id for image_id, _ in part.failures)}))
            yield part


def _tile_count(scheme: Scheme, image: PendingImage) -> int:
    """Return how many tiles an image has; where boxes cut it, a usual number."""
    if scheme.tile_count is not None:
        return scheme.tile_count
    try:
        return len(scheme.tiles(image.width_px, image.height_px))
    except TilingError:
        return _USUAL_TILES


def gpu_slot(devices: list[str]) -> AbstractContextManager[object]:
    """Wait for a slot of those that Prefect gives out for work on GPUs, where somebody has set a limit to them."""
    return concurrency(GPU_SLOTS) if in_flow_run() and devices[0].startswith("cuda") else nullcontext()
