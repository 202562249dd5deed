"""Photographs that look alike though their bytes differ: perceptual hashes, near pairs and their clusters.

A hash is 64 bits of what a photograph looks like when it is 32 pixels wide and grey (pHash). A photograph that was
resized, brightened, cropped by little or compressed again keeps most of them.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from lake import embeddings, issues, query, tables
from lake.components import components
from lake.embeddings import PendingImage
from lake.errors import LakeError
from lake.images import formats
from lake.schemas import TABLES
from lake.tables import Lake, Snapshot

# Of 64. Tried on 960 seedlings on gravel: different plants are 12 and more apart (half of the pairs 32); a copy of half
# the size, at JPEG quality 60 or brightened by a tenth is at most 4 apart, and 94 of 100 copies cropped by 3 % at
# most 6. A hash has nearly always as many ones as zeros, so that distances are even.
MOST_BITS = 6
# The bands of the question find every pair up to here, and not every one beyond.
_EXACT_UP_TO = 7
_MOST_IMAGES = 2048  # hashed in one commit
_DRAFT_PX = 256  # eight times what the hash looks at: a JPEG need not be decoded any larger


@dataclass(frozen=True)
class Hashed:
    """What became of the images without a hash."""

    image_count: int
    byte_count: int  # read
    failed: tuple[str, ...]  # image_ids of those that could not be decoded, set aside as not_hashed


def perceptual_hash(content: bytes) -> int:
    """Return the 64 bits of a photograph as it is seen (upright, grey, transparent parts white), as a signed number.

    Raises:
        OSError, SyntaxError, ValueError: Whatever the format's decoder raises for bad bytes.
    """
    # Its transform comes with SciPy, which takes longer to import than a lake to open.
    import imagehash

    bits = imagehash.phash(_grey(content)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def pending(lake: Lake, dataset: str) -> list[PendingImage]:
    """Return the images of a data set without a hash, in the order in which they lie in the files.

    Raises:
        LakeError: If the lake holds no photograph of the data set.
    """
    embeddings.require_dataset(lake, dataset)
    snapshots = tables.latest(lake, "image_records", "images", "perceptual_hashes", "ingest_issues")
    rows = query.answer(lake, "pending/images_to_hash", snapshots, dataset=dataset)
    return [PendingImage(**row) for row in rows.to_pylist()]


def hash_pending(
    lake: Lake, dataset: str, pool: Executor, flow_run_id: str, on_image: Callable[[int], None] = lambda _: None
) -> Hashed:
    """Hash the images of a data set that have no hash, one commit for each shard.

    Args:
        lake: The place of the tables.
        dataset: The data set.
        pool: Where they are decoded; threads do, as Pillow lets others run meanwhile.
        flow_run_id: The flow run that writes.
        on_image: Told how many more are done.
    """
    (planned_on,) = tables.latest(lake, "perceptual_hashes")
    known = tables.KnownKeys(lake, "perceptual_hashes", absent_in=planned_on)
    count, read, failed = 0, 0, list[str]()
    waiting, (images,) = pending(lake, dataset), tables.latest(lake, "images")
    for start in range(0, len(waiting), _MOST_IMAGES):
        shard = waiting[start : start + _MOST_IMAGES]
        hashes: dict[str, int] = {}
        reasons: dict[str, str] = {}
        for piece in embeddings.read_pieces(lake, images, shard):
            for (image, content), found in zip(
                piece, pool.map(_hash_or_reason, [one for _, one in piece]), strict=True
            ):
                if isinstance(found, int):
                    hashes[image.image_id] = found
                else:
                    reasons[image.image_id] = found
                read += len(content)
                on_image(1)
        # First what failed: a run that ends between the two tries the others again.
        details = {image.image_name: reasons[image.image_id] for image in shard if image.image_id in reasons}
        issues.note(lake, dataset, "not_hashed", details, flow_run_id)
        count += tables.append(lake, "perceptual_hashes", _rows(hashes, flow_run_id), known=known).row_count
        failed += reasons
    return Hashed(count, read, tuple(failed))


def pairs(lake: Lake, dataset: str, most_bits: int = MOST_BITS, hashes: Snapshot | None = None) -> pa.Table:
    """Return all pairs of different hashes of a data set that are near: phash, other_phash (the larger), distance.

    Raises:
        LakeError: If so many bits are allowed that pairs would be overlooked.
    """
    if not 0 <= most_bits <= _EXACT_UP_TO:
        raise LakeError(
            f"near-duplicates that differ in up to {most_bits} of 64 bits were asked for; "
            f"0 to {_EXACT_UP_TO} can be found without comparing all with all"
        )
    (records,) = tables.latest(lake, "image_records")
    seen = tables.latest(lake, "perceptual_hashes")[0] if hashes is None else hashes
    return query.answer(lake, "audit/near_hashes", [records, seen], dataset=dataset, most_bits=most_bits)


def clusters(lake: Lake, dataset: str, most_bits: int = MOST_BITS) -> pa.Table:
    """Return the images that are near-duplicates of others: image_id, cluster_id, the smallest image_id of a cluster.

    Whoever is near to one member is in the cluster, so that two members may differ in more bits than ``most_bits``.

    Raises:
        LakeError: If images of the data set have no hash yet.
    """
    waiting = len(pending(lake, dataset))
    if waiting:
        raise LakeError(
            f"the near-duplicates of {dataset!r} were asked for, but {waiting} of its images have no perceptual hash "
            f"yet: near_duplicates.hash_pending gives them one"
        )
    records, hashes = tables.latest(lake, "image_records", "perceptual_hashes")
    near = pairs(lake, dataset, most_bits, hashes)
    joined = components(near["phash"], near["other_phash"])
    named = pa.table(dict(zip(("phash", "cluster_phash"), joined, strict=True)))
    return query.answer(lake, "audit/image_clusters", [records, hashes], {"hash_clusters": named}, dataset=dataset)


def _grey(content: bytes) -> Image.Image:
    with Image.open(BytesIO(content), formats=formats()) as image:
        image.draft("L", (_DRAFT_PX, _DRAFT_PX))
        image.load()
        # Parsing EXIF raises as freely as decoding does; a photograph whose orientation nobody can read stays as it is.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            seen = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("L")
        if image.mode.startswith("I"):
            # convert() would clip 16-bit values at 255 instead of scaling them.
            return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        return image.convert("L")


def _hash_or_reason(content: bytes) -> int | str:
    try:
        return perceptual_hash(content)
    # Decoders raise whatever their format's parser does. It was decoded when it was taken in: this is a library that
    # has changed since, or memory, and one image must not end the run of the others.
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _rows(hashes: dict[str, int], flow_run_id: str) -> pa.Table:
    now = datetime.now(UTC)
    rows = [
        {"image_id": image_id, "phash": phash, "hashed_at": now, "flow_run_id": flow_run_id}
        for image_id, phash in hashes.items()
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["perceptual_hashes"].columns)
