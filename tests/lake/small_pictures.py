"""Small real photographs, each number another one, and the ways in which files of photographs are broken."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image

_ORIENTATION = 0x0112


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (24, 16), orientation: int | None = None) -> bytes:
    """Return the bytes of a picture; another number is another picture."""
    image = Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number // 256))
    image.putpixel((number % size[0], number // size[0] % size[1]), (255, 255, 255))
    exif = Image.Exif()
    if orientation is not None:
        exif[_ORIENTATION] = orientation
    file = BytesIO()
    image.save(file, kind, exif=exif)
    return file.getvalue()


def cut(content: bytes) -> bytes:
    """Return the first two thirds of a file, as a broken download leaves it."""
    return content[: len(content) * 2 // 3]


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it is this large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
