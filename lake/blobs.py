"""Large photographs as files of their own beside the tables, named by their content."""

import os
import tempfile
from pathlib import Path

import polars as pl

from lake import tables
from lake.errors import LakeError
from lake.images import identity
from lake.tables import Lake

_FOLDER = "blobs"
_REMEDY = "Take its source in again with --reread: photographs that are missing are stored anew."


def put(lake: Lake, image_id: str, content: bytes) -> str:
    """Store the bytes of an image, if they do not lie there whole, and return their place below the lake's root.

    The file appears whole or not at all, and is on the disk before the row that names it.

    Raises:
        LakeError: If it cannot be written.
    """
    uri = f"{_FOLDER}/{image_id[:2]}/{image_id}"
    path = Path(lake.root) / uri
    if path.is_file() and identity(path.read_bytes()) == image_id:
        return uri
    try:
        _write(path, content)
    except OSError as error:
        raise LakeError(
            f"an image of {len(content):,} bytes cannot be written to {path.parent}: {error.strerror}. "
            f"When there is room and the right to write, the same command goes on."
        ) from error
    return uri


def known(lake: Lake) -> set[str]:
    """Return the images whose bytes lie in files of their own."""
    (images,) = tables.latest(lake, "images")
    found = tables.scan(lake, images).filter(pl.col("blob_uri").is_not_null()).select("image_id").collect()
    return set(found["image_id"])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # As any file that is created plainly: the temporary one is its writer's alone.
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(file.fileno(), 0o666 & ~mask)
            Path(file.name).replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def get(lake: Lake, image_id: str, uri: str) -> bytes:
    """Return the bytes of an image that lies in a file of its own.

    Raises:
        LakeError: If the file is missing or holds other bytes than its name says.
    """
    path = Path(lake.root) / uri
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LakeError(f"the image {image_id} should lie in {path}: {error.strerror}. {_REMEDY}") from error
    if (found := identity(content)) != image_id:
        raise LakeError(f"{path} holds the bytes of {found}, not those of {image_id}: it was damaged. {_REMEDY}")
    return content
