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


def several(kind: str, count: int, size: tuple[int, int] = (24, 16)) -> bytes:
    """Return a file of several pictures: an animation, the pages of a TIFF, the eyes of an MPO."""
    first, *others = [Image.open(BytesIO(picture(number, "PNG", size))) for number in range(1, count + 1)]
    file = BytesIO()
    first.save(file, kind, save_all=True, append_images=others)
    return file.getvalue()


def with_chunk(png: bytes, kind: bytes, data: bytes, times: int = 1) -> bytes:
    """Return a PNG with a chunk, or the same one many times, before its pixels."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    after_header = 8 + 25
    return png[:after_header] + chunk * times + png[after_header:]


def with_exif(jpeg: bytes, *segments: bytes) -> bytes:
    """Return a JPEG whose EXIF is these bytes, each in a segment of its own."""
    marked = [b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in segments]
    return jpeg[:2] + b"".join(marked) + jpeg[2:]


def layered(layer_count: int, size: tuple[int, int] = (24, 16)) -> bytes:
    """Return a PSD: a whole picture and, beside it, empty layers of no size."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, size[1], size[0], 8, 3) + bytes(8)
    layers = struct.pack(">h", layer_count) + bytes(34) * layer_count
    return head + struct.pack(">II", len(layers) + 4, len(layers)) + layers + bytes(2 + 3 * size[0] * size[1])
