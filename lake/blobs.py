"""Large photographs as files of their own beside the tables, named by their content."""

import os
import tempfile
from pathlib import Path

from lake.errors import LakeError
from lake.images import identity
from lake.tables import Lake

_FOLDER = "blobs"
_REMEDY = "Take its source in again with --reread: photographs that are missing are stored anew."


def put(lake: Lake, image_id: str, content: bytes) -> str:
    """Store the bytes of an image, if they do not lie there whole, and return their place below the lake's root.

    The file appears whole or not at all, and is on the disk before the row that names it.
    """
    uri = f"{_FOLDER}/{image_id[:2]}/{image_id}"
    path = Path(lake.root) / uri
    if path.is_file() and identity(path.read_bytes()) == image_id:
        return uri
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return uri


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
