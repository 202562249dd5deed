"""Large photographs as files of their own beside the tables, named by their content."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake import tables
from lake.errors import LakeError
from lake.images import identity
from lake.tables import Lake

_FOLDER = "blobs"
_OURS = re.compile(r"[0-9a-f]{64}|\..+")  # an image, or what a write that was killed has left of one
_REMEDY = "Take its source in again with --reread: photographs that are missing are stored anew."


@dataclass(frozen=True)
class Orphan:
    """A file that no row names."""

    path: Path
    byte_count: int


def put(lake: Lake, image_id: str, content: bytes) -> str:
    """Store the bytes of an image, if they do not lie there whole, and return their place below the lake's root.

    The file appears whole or not at all, and is on the disk before the row that names it.

    Raises:
        LakeError: If it cannot be written.
    """
    uri = f"{_FOLDER}/{image_id[:2]}/{image_id}"
    path = Path(lake.root) / uri
    try:
        with _locked(lake, fcntl.LOCK_SH):
            if path.is_file() and identity(path.read_bytes()) == image_id:
                # Young again: whoever removes old files that no row names waits for the row that follows.
                os.utime(path)
            else:
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


def orphans(lake: Lake, before: float) -> list[Orphan]:
    """Return the files that were written before a time (seconds since 1970) and that no row names."""
    found = []
    for path in sorted((Path(lake.root) / _FOLDER).glob("*/*")):
        with suppress(FileNotFoundError):
            state = path.stat()
            if state.st_mtime < before and _OURS.fullmatch(path.name):
                found.append(Orphan(path, state.st_size))
    # Asked after the files were listed: a row that came in between is seen.
    named = known(lake) if found else set()
    return [orphan for orphan in found if orphan.path.name not in named]


def remove_orphan(lake: Lake, orphan: Orphan, before: float) -> bool:
    """Remove a file that no row names; return false where somebody has stored it anew since a time."""
    with _locked(lake, fcntl.LOCK_EX), suppress(FileNotFoundError):
        if orphan.path.stat().st_mtime < before:
            orphan.path.unlink()
            return True
    return False


@contextmanager
def _locked(lake: Lake, how: int) -> Iterator[None]:
    """Hold the folder of the files, among all processes: those who store, or the one who removes."""
    folder = Path(lake.root) / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, how)
        yield
    finally:
        os.close(held)


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
